// The types of the dashboard, for its checks alone: no browser is sent this file.

export {};

declare global {
  /** A quote as the server writes it. Decimals are text. */
  interface Quote {
    symbol: string;
    price?: string;
    volume?: string;
    bid?: string;
    ask?: string;
    bid_size?: string;
    ask_size?: string;
    /** `trading`, `halted`, or why there is no quote: `delisted`, `unlisted`, `forbidden` */
    status: string;
    time?: string;
    version?: number;
    updated?: string;
    /** Where it comes from, and how that is: `live`, `quiet`, `stale`, `gap`, `ended`. */
    feed?: string;
    feed_state?: string;
  }

  /** A coefficient, and how many of its digits stand behind the point. */
  interface Decimal {
    coefficient: bigint;
    scale: number;
  }

  /** How a price has changed since the page opened. */
  interface Change {
    sign: -1 | 0 | 1;
    amount: string;
    percent: string;
  }

  /**
   * How the stream of quotes is:
   * - `connecting`: for the first time.
   * - `live`: all that is wanted has been told since it connected.
   * - `lost`: prices are of the past; it connects again, or is being told.
   * - `ended`: the server does not know who this is any more.
   */
  type StreamState = 'connecting' | 'live' | 'lost' | 'ended';

  /** Who is told by the stream. */
  interface StreamListener {
    quotes: (quotes: Quote[]) => void;
    /** It is another now, or the next attempt is at another time. */
    state: () => void;
  }

  /** What the stream says that is no quote. */
  interface Notice {
    type: string;
    id?: number;
    server?: string;
    symbol?: string;
    messages?: number;
    conflated?: number;
    retry_ms?: number;
    refused?: { symbol: string }[];
  }

  /** Who the user is and what it may do. */
  interface Session {
    /** Everybody may do everything. */
    open: boolean;
    /** The server answers this user. */
    known: boolean;
    user?: string;
    rights: string[];
  }

  /** What all rows of the table are painted with. */
  interface Moment {
    now: number;
    serverNow: number;
    bucket: number;
    /** Of the connection. */
    generation: number;
    isLive: boolean;
    /** Plots drawn in this frame. */
    plots: number;
    /** Rows written for the first time in this frame. */
    fresh: number;
    /** Whether a row or a plot has to wait for the next frame, or a tick fades. */
    isUnfinished: boolean;
  }

  /** A line of a chart. */
  interface ChartLine {
    label: string;
    /** Of the palette. */
    colour: string;
    isStep?: boolean;
    isFilled?: boolean;
  }

  interface ChartOptions {
    /** Told which point the pointer is at. */
    point?: (index: number | null) => void;
    /** The label of a value. */
    value?: (value: number) => string;
    fromZero?: boolean;
  }

  /** A connection or a stream, as `/v1/clients` has it. */
  interface Client {
    id: string;
    peer: string;
    protocol: string;
    name?: string;
    user?: string;
    age_seconds: number;
    symbols: number;
    patterns: number;
    marks: number;
    messages: number;
    conflated: number;
    conflated_share: number;
    unsent_bytes: number;
  }
}
