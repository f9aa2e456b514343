// The stream of live quotes: one WebSocket that is kept up, and on it exactly the stocks that are wanted.
//
// It owns the socket, its heartbeat and when to connect again. It knows nothing of what is shown. Invariant: while it is
// `live`, every stock that is wanted has been told as the server has it, or is about to be.

/** The server says something each 5 seconds. */
const SILENCE_MAX_MS = 12_000;

/** Pauses between attempts: the first, and the longest. Each is drawn between half of it and one and a half. */
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 15_000;

/** Least time between two changes of what is subscribed to. */
const CHANGE_MS = 80;

/** Names of one message. */
const NAMES_MAX = 500;

/** At most one quote of a stock in this time: more could not be seen. */
const INTERVAL_MS = 50;

export class Connection {
  /** @param {StreamListener} listener */
  constructor(listener) {
    this.listener = listener;
    /** @type {StreamState} */
    this.state = 'connecting';
    /** Counts connections: what was told in an earlier one may be out of date. */
    this.generation = 0;
    /** Unix milliseconds of the next attempt, and when anything was last heard. */
    this.nextAttempt = 0;
    this.heard = 0;
    /** What the last heartbeat said. */
    this.heartbeat = { messages: 0, conflated: 0 };
    this.server = '';
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Set<string>} */
    this.wanted = new Set();
    /** @type {Set<string>} */
    this.subscribed = new Set();
    this.failures = 0;
    this.lastId = 0;
    this.isAnswered = false;
    this.changedAt = 0;
    this.isChanging = false;
    this.attempt = 0;
    this.watch = 0;
  }

  start() {
    clearInterval(this.watch);
    this.watch = setInterval(() => this.#lookAfter(), 1000);
    this.#connect();
  }

  stop() {
    clearInterval(this.watch);
    clearTimeout(this.attempt);
    this.#drop();
    this.#become('ended');
  }

  /** Does not wait for the next attempt. */
  retry() {
    if (this.state !== 'lost' || this.socket !== null) return;
    clearTimeout(this.attempt);
    this.#connect();
  }

  /**
   * Subscribes to these stocks and to no others.
   * @param {Set<string>} symbols
   */
  want(symbols) {
    this.wanted = symbols;
    if (this.isChanging) return;
    this.isChanging = true;
    const pause = Math.max(0, this.changedAt + CHANGE_MS - Date.now());
    setTimeout(() => this.#change(), pause);
  }

  #connect() {
    const url = new URL(`/v1/stream?interval=${INTERVAL_MS}&name=dashboard`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, 'stockd.v1');
    this.socket = socket;
    this.heard = Date.now();
    this.listener.state();
    const isCurrent = () => this.socket === socket;
    socket.onopen = () => isCurrent() && this.#opened();
    socket.onmessage = ({ data }) => isCurrent() && this.#hear(JSON.parse(data));
    socket.onclose = () => isCurrent() && this.#lose(0);
  }

  #opened() {
    this.generation++;
    this.subscribed = new Set();
    this.isAnswered = false;
    this.#change();
  }

  /** @param {Quote[] | Notice} message */
  #hear(message) {
    this.heard = Date.now();
    if (Array.isArray(message)) {
      this.listener.quotes(message);
      return;
    }
    switch (message.type) {
      case 'hello':
        this.server = message.server ?? '';
        break;
      case 'subscribed': {
        this.isAnswered ||= message.id === this.lastId;
        const refused = message.refused ?? [];
        this.listener.quotes(refused.map(({ symbol }) => ({ symbol, status: 'forbidden' })));
        break;
      }
      case 'synced':
        if (this.isAnswered || this.wanted.size === 0) this.#settle();
        break;
      case 'heartbeat':
        this.heartbeat = { messages: message.messages ?? 0, conflated: message.conflated ?? 0 };
        break;
      case 'forbidden':
        if (message.symbol !== undefined) {
          this.subscribed.delete(message.symbol);
          this.listener.quotes([{ symbol: message.symbol, status: 'forbidden' }]);
        }
        break;
      case 'unauthenticated':
        this.stop();
        break;
      case 'goodbye':
        this.#lose(message.retry_ms ?? PAUSE_MS);
        break;
    }
  }

  #settle() {
    this.failures = 0;
    this.#become('live');
  }

  /** Says what has to change for the server to tell what is wanted. */
  #change() {
    this.isChanging = false;
    this.changedAt = Date.now();
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const more = [...this.wanted].filter((symbol) => !this.subscribed.has(symbol));
    const fewer = [...this.subscribed].filter((symbol) => !this.wanted.has(symbol));
    this.#say('unsubscribe', fewer);
    this.#say('subscribe', more);
    this.subscribed = new Set(this.wanted);
  }

  /**
   * @param {string} action
   * @param {string[]} symbols
   */
  #say(action, symbols) {
    for (let from = 0; from < symbols.length; from += NAMES_MAX) {
      const some = symbols.slice(from, from + NAMES_MAX);
      if (action === 'subscribe') this.lastId++;
      this.socket?.send(JSON.stringify({ action, symbols: some, id: this.lastId }));
    }
  }

  /** A connection that says nothing is none. */
  #lookAfter() {
    const isSilent = this.socket !== null && Date.now() - this.heard > SILENCE_MAX_MS;
    if (isSilent) this.#lose(0);
  }

  /**
   * The connection is gone; another is tried after a while.
   * @param {number} least milliseconds
   */
  #lose(least) {
    this.#drop();
    const longest = Math.min(PAUSE_MS * 2 ** this.failures, PAUSE_MAX_MS);
    const pause = Math.max(least, longest * (0.5 + Math.random()));
    this.failures++;
    this.nextAttempt = Date.now() + pause;
    this.attempt = setTimeout(() => this.#connect(), pause);
    this.#become('lost');
  }

  #drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  /** @param {StreamState} state */
  #become(state) {
    this.state = state;
    this.listener.state();
  }
}
