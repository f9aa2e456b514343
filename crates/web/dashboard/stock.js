// The page of one stock: its price as this page saw it, its fields, and a form to trade for who may.
//
// It owns the elements of that page. Invariant: nothing is shown that did not come from the server.

/** @import { Book, Stock } from './book.js' */
/** @import { Palette } from './page.js' */

import * as api from './api.js';
import { statusOf } from './book.js';
import { Chart } from './chart.js';
import * as decimal from './decimal.js';
import { CHANGES_MAX } from './history.js';
import { Figure, byId, make, mark, wordsOf, write } from './page.js';
import * as words from './words.js';

/** The plot is drawn at most once in this time, in milliseconds. */
const PLOT_MS = 100;

/** @type {[string, (quote: Quote, age: string) => string | undefined][]} */
const FIELDS = [
  ['Bid', ({ bid }) => bid],
  ['Ask', ({ ask }) => ask],
  ['Bid size', ({ bid_size: size }) => size],
  ['Ask size', ({ ask_size: size }) => size],
  ['Spread', ({ bid, ask }) => spread(bid, ask)],
  ['Shares left', ({ volume }) => volume ?? 'not counted'],
  ['Event time', ({ time }) => readable(time)],
  ['Updated', ({ updated }) => readable(updated)],
  ['Version', ({ version }) => version?.toString()],
  ['Age', (_, age) => age],
  ['Feed', ({ feed, feed_state: state }) => feed && `${feed}, ${state}`],
];

/**
 * @param {string | undefined} bid
 * @param {string | undefined} ask
 */
function spread(bid, ask) {
  const [low, high] = [decimal.parse(bid), decimal.parse(ask)];
  return low === null || high === null ? undefined : decimal.signed(decimal.subtract(high, low)).replace('+', '');
}

/** @param {string | undefined} time */
function readable(time) {
  return time?.replace('T', ' ').replace(/(\.\d{3})\d*Z$/, '$1 UTC');
}

export class StockPage {
  /**
   * @param {Book} book
   * @param {Palette} palette
   * @param {{ dirty: () => void }} app
   */
  constructor(book, palette, app) {
    this.book = book;
    this.app = app;
    /** @type {Stock | null} */
    this.stock = null;
    this.ticks = -1;
    this.plottedAt = 0;
    this.plottedChanges = -1;
    this.openedAt = 0;
    this.mayTrade = false;
    this.times = new Float64Array(CHANGES_MAX + 1);
    this.values = new Float64Array(CHANGES_MAX + 1);
    this.price = new Figure(byId('stock-price'));
    this.changeElement = byId('stock-change');
    this.form = /** @type {HTMLFormElement} */ (byId('trade'));
    this.quantity = /** @type {HTMLInputElement} */ (byId('quantity'));
    this.said = byId('trade-said');
    this.fields = FIELDS.map(([name]) => {
      const value = make('dd', { class: 'figure' });
      byId('fields').append(make('div', {}, make('dt', {}, name), value));
      return value;
    });
    const line = { label: 'price', colour: 'blue', isStep: true, isFilled: true };
    this.chart = new Chart(byId('plot'), palette, [line], { point: (index) => this.#read(index) });
    this.form.addEventListener('submit', (event) => this.#trade(event));
  }

  /** @param {string} symbol */
  open(symbol) {
    const stock = this.book.watched(symbol);
    const { changes, quote } = stock;
    if (changes !== null && changes.length === 0 && quote?.price !== undefined) {
      changes.note(Date.now(), quote.price);
    }
    this.stock = stock;
    this.ticks = -1;
    this.plottedChanges = -1;
    this.chart.clear();
    write(byId('stock-symbol'), symbol);
    write(byId('plot-read'), '');
    this.#say('', '');
    this.#ask(symbol);
  }

  /** Who may trade here sees the form. */
  async #ask(symbol = '') {
    this.form.hidden = true;
    this.mayTrade = false;
    const rights = await api.rightsOn(symbol).catch(() => /** @type {string[]} */ ([]));
    if (this.stock?.symbol !== symbol) return;
    this.mayTrade = rights.includes('trade');
    if (!this.mayTrade) this.#say('', 'You may read this stock and not trade it.');
    this.ticks = -1;
    this.app.dirty();
  }

  /** Colours are others now. */
  recolour() {
    if (this.stock !== null) this.chart.recolour();
  }

  /**
   * @param {number} now
   * @param {boolean} isLive
   */
  paint(now, isLive) {
    const stock = this.stock;
    if (stock === null) return;
    const quote = stock.quote;
    if (this.ticks !== stock.ticks) {
      this.ticks = stock.ticks;
      this.#write(stock, quote);
    }
    const updated = words.moment(quote?.updated);
    const age = Number.isNaN(updated) ? '' : words.age(api.serverNow() - updated);
    FIELDS.forEach(([, text], at) => {
      write(this.fields[at], (quote && text(quote, age)) || '–');
    });
    if (now - this.plottedAt >= PLOT_MS && isLive) this.#plot(stock, now);
  }

  /**
   * @param {Stock} stock
   * @param {Quote | null} quote
   */
  #write(stock, quote) {
    this.price.show(quote?.price);
    const change = this.book.changeOf(stock);
    const [amount, percent] = this.changeElement.children;
    write(amount, change?.amount ?? '');
    write(percent, change?.percent ?? '');
    mark(this.changeElement, 'data-sign', String(change?.sign ?? 0));
    const { text, is } = statusOf(quote);
    const badge = byId('stock-status');
    write(badge, text);
    mark(badge, 'data-is', is);
    const isCounted = quote?.volume !== undefined;
    this.form.hidden = !this.mayTrade || !isCounted;
    if (this.mayTrade && !isCounted && quote !== null) {
      const isListed = quote.version !== undefined;
      this.#say('', isListed ? 'Its shares are not counted, so none can be traded.' : 'It is not listed.');
    }
  }

  /**
   * @param {Stock} stock
   * @param {number} now
   */
  #plot(stock, now) {
    const { changes } = stock;
    if (changes === null || changes.length === 0) return;
    this.plottedAt = now;
    const count = changes.copy(now, this.times, this.values);
    this.chart.show(this.times.subarray(0, count), this.values.subarray(0, count));
    if (this.plottedChanges === changes.seen) return;
    this.plottedChanges = changes.seen;
    const since = words.clock(this.times[0] * 1000);
    const latest = changes.seen > changes.length ? `the latest ${words.count(changes.length)} of ` : '';
    write(
      byId('plot-said'),
      `${latest}${words.counted(changes.seen, 'price')} since ${since}; the server keeps the latest alone.`,
    );
  }

  /**
   * Tells the price under the pointer, as it came.
   * @param {number | null} index
   */
  #read(index) {
    const changes = this.stock?.changes;
    if (!changes) return;
    const at = index === null ? -1 : Math.min(index, changes.length - 1);
    write(byId('plot-read'), at < 0 ? '' : `${changes.text(at)} at ${words.clock(this.times[at] * 1000)}`);
  }

  /** @param {SubmitEvent} event */
  async #trade(event) {
    event.preventDefault();
    const { submitter } = event;
    const symbol = this.stock?.symbol;
    if (!(submitter instanceof HTMLButtonElement) || symbol === undefined) return;
    const side = submitter.value === 'sell' ? 'sell' : 'buy';
    const quantity = this.quantity.value.trim();
    const shares = decimal.parse(quantity);
    if (shares === null || decimal.sign(shares) <= 0) {
      this.#say('bad', `'${quantity}' is no number of shares: write an exact decimal above 0, such as 5 or 0.25.`);
      this.quantity.focus();
      return;
    }
    const buttons = this.form.querySelectorAll('button');
    buttons.forEach((button) => (button.disabled = true));
    try {
      const { volume } = await api.trade(symbol, side, quantity);
      this.#say('good', `${side === 'buy' ? 'Bought' : 'Sold'} ${quantity}. ${volume} are left.`);
    } catch (error) {
      this.#say('bad', wordsOf(error));
    }
    buttons.forEach((button) => (button.disabled = false));
    submitter.focus();
  }

  /**
   * @param {string} kind
   * @param {string} text
   */
  #say(kind, text) {
    mark(this.said, 'data-is', kind === '' ? null : kind);
    write(this.said, text);
  }
}
