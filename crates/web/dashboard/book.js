// What this page knows of stocks: the latest quote of each, its price when the page opened, and what it has seen since.
//
// It owns the quotes and knows neither sockets nor elements. Invariant: it holds a bounded number of stocks; those that
// are shown are never given up.

import * as decimal from './decimal.js';
import { Changes, Window, bucketOf } from './history.js';

/** Stocks that are kept while nothing shows them. */
const KEPT_MAX = 2048;

/** Stocks whose price at the opening is remembered. */
const OPENINGS_MAX = 200_000;

/** One stock. */
export class Stock {
  /** @param {string} symbol */
  constructor(symbol) {
    this.symbol = symbol;
    /** @type {Quote | null} */
    this.quote = null;
    this.window = new Window();
    /** @type {Changes | null} What its page shows, once it was opened. */
    this.changes = null;
    /** Which way its price moved last: -1, 0 or 1. */
    this.direction = 0;
    /** Quotes that came. A view compares it with those it has shown. */
    this.ticks = 0;
    /** The connection that told of it last. */
    this.generation = -1;
    /** @type {Change | null} Since the page opened, for `changeOf`. */
    this.change = null;
    /** @type {string | undefined} */
    this.of = undefined;
  }
}

export class Book {
  constructor() {
    this.openedAt = Date.now();
    /** @type {Map<string, Stock>} */
    this.stocks = new Map();
    /** @type {Map<string, string>} Prices when this page opened, or as they were first seen. */
    this.openings = new Map();
    /** Quotes that came over the stream. */
    this.ticks = 0;
  }

  /**
   * The stock of this name, which is made where there is none.
   * @param {string} symbol
   */
  stock(symbol) {
    let stock = this.stocks.get(symbol);
    if (stock === undefined) {
      stock = new Stock(symbol);
      this.stocks.set(symbol, stock);
    }
    return stock;
  }

  /**
   * Takes the quote of a page of the listing: what a price was at the opening.
   * @param {Quote} quote
   */
  open(quote) {
    const { symbol, price } = quote;
    if (price === undefined || this.openings.size >= OPENINGS_MAX) return;
    if (!this.openings.has(symbol)) this.openings.set(symbol, price);
  }

  /**
   * Takes a quote of the stream.
   * @param {Quote} quote
   * @param {number} now
   * @param {number} generation of the connection
   */
  take(quote, now, generation) {
    this.open(quote);
    const stock = this.stock(quote.symbol);
    const before = stock.quote;
    stock.quote = quote;
    stock.ticks++;
    stock.generation = generation;
    this.ticks++;
    const { price } = quote;
    if (price === undefined) return;
    if (price !== before?.price) {
      stock.direction = directionOf(before?.price, price);
      stock.changes?.note(now, price);
    }
    stock.window.note(bucketOf(now), Number(price));
  }

  /**
   * A stock whose changes are kept from now on.
   * @param {string} symbol
   */
  watched(symbol) {
    const stock = this.stock(symbol);
    stock.changes ??= new Changes();
    return stock;
  }

  /**
   * How its price has changed since the page opened; null while that is not known.
   * @param {Stock} stock
   * @returns {Change | null}
   */
  changeOf(stock) {
    const price = stock.quote?.price;
    if (stock.of === price && stock.change !== null) return stock.change;
    stock.of = price;
    stock.change = change(this.openings.get(stock.symbol), price);
    return stock.change;
  }

  /**
   * Gives up the stocks that are not among these, from the oldest on, until few are left.
   * @param {Set<string>} shown
   */
  trim(shown) {
    if (this.stocks.size <= KEPT_MAX + shown.size) return;
    let surplus = this.stocks.size - KEPT_MAX / 2;
    for (const symbol of this.stocks.keys()) {
      if (surplus <= 0) return;
      if (shown.has(symbol)) continue;
      this.stocks.delete(symbol);
      surplus--;
    }
  }
}

/** What a status is called, where that is another word. */
const STATUSES = new Map([
  ['unlisted', 'not listed'],
  ['forbidden', 'not permitted'],
]);

/**
 * What is said of how a stock is, and what kind of news that is.
 * @param {Quote | null} quote
 */
export function statusOf(quote) {
  const { status = '', volume, feed_state: feed = '' } = quote ?? {};
  let [text, is] = [STATUSES.get(status) ?? status, status];
  if (status === 'trading') [text, is] = volume === '0' ? ['no shares', 'exhausted'] : [status, 'good'];
  if (feed !== 'stale' && feed !== 'gap') return { text, is };
  return { text: is === 'good' ? feed : `${text}, ${feed}`, is: 'warn' };
}

/**
 * @param {string | undefined} before
 * @param {string} after
 */
function directionOf(before, after) {
  const [one, other] = [decimal.parse(after), decimal.parse(before)];
  return one === null || other === null ? 0 : decimal.compare(one, other);
}

/**
 * @param {string | undefined} opening
 * @param {string | undefined} price
 * @returns {Change | null}
 */
function change(opening, price) {
  const [base, now] = [decimal.parse(opening), decimal.parse(price)];
  if (base === null || now === null) return null;
  const amount = decimal.subtract(now, base);
  return {
    sign: decimal.sign(amount),
    amount: decimal.signed(amount),
    percent: decimal.percent(amount, base) ?? '',
  };
}
