// The live table: as many rows as fit, moved along a list of any length.
//
// It owns its rows and which of them stand where. Only what is in sight is wanted from the stream. Invariant: a row is
// written only where what it shows has changed, and only while a frame is painted.

/** @import { Book, Stock } from './book.js' */
/** @import { Palette } from './page.js' */

import { bucketOf } from './history.js';
import { Figure, byId, make, mark, write } from './page.js';
import { serverNow } from './api.js';
import { Sparkline } from './sparkline.js';
import * as words from './words.js';

/** Rows beyond the edges that are ready before they are scrolled to. */
const BEYOND = 6;

/** A plot is drawn at most once in this time, in milliseconds. */
const PLOT_MS = 200;

/** Plots of one frame take about this long, in milliseconds; the others have the next. */
const PLOTS_MS = 5;

/** What a status means for a row: its text, where it is not that of trading. */
const STATUSES = new Map([
  ['trading', ''],
  ['halted', 'halted'],
  ['delisted', 'delisted'],
  ['unlisted', 'not listed'],
  ['forbidden', 'not permitted'],
]);

/** One row of the page, of changing stocks. */
class Row {
  /**
   * @param {number} slot
   * @param {(symbol: string) => void} open
   */
  constructor(slot, open) {
    this.index = -1;
    /** @type {Stock | null} */
    this.stock = null;
    this.ticks = -1;
    this.plottedTicks = -1;
    this.plottedAt = 0;
    this.plottedBucket = -1;
    this.link = make('a', { tabindex: '-1' });
    this.badge = make('span', { class: 'badge' });
    this.flash = make('i', { class: 'flash' });
    this.canvas = make('canvas', { 'aria-hidden': 'true' });
    const cell = (/** @type {string} */ name, /** @type {Node[]} */ ...children) =>
      make('div', { role: 'gridcell', class: name }, ...children);
    const price = cell('price figure', this.flash);
    const bid = cell('bid figure');
    const ask = cell('ask figure');
    const volume = cell('volume figure');
    this.price = new Figure(price);
    this.bid = new Figure(bid);
    this.ask = new Figure(ask);
    this.volume = volume;
    this.amount = make('span', { class: 'amount' });
    this.percent = make('span', { class: 'percent' });
    this.change = cell('change figure', this.amount, this.percent);
    this.age = cell('age figure');
    this.status = cell('status', this.badge);
    this.element = make(
      'div',
      { role: 'row', class: 'row', id: `row-${slot}` },
      cell('symbol', this.link),
      price,
      this.change,
      cell('plot', this.canvas),
      bid,
      ask,
      volume,
      this.age,
      this.status,
    );
    this.element.addEventListener('click', (event) => {
      // A link does as links do.
      if (event.target !== this.link && this.stock !== null) open(this.stock.symbol);
    });
    this.plot = new Sparkline(this.canvas);
    this.animation = this.flash.animate([{ opacity: 1 }, { opacity: 0 }], {
      duration: 700,
      easing: 'ease-out',
    });
    this.animation.finish();
  }

  /**
   * Puts it at a place of the list.
   * @param {number} index
   * @param {number} height
   */
  place(index, height) {
    if (this.index === index) return;
    this.index = index;
    this.element.style.transform = `translateY(${index * height}px)`;
    mark(this.element, 'aria-rowindex', String(index + 2));
  }

  /** @param {Stock} stock */
  bind(stock) {
    if (this.stock === stock) return;
    this.stock = stock;
    this.ticks = -1;
    this.plottedTicks = -1;
    this.animation.finish();
    write(this.link, stock.symbol);
    mark(this.link, 'href', `#/stock/${encodeURIComponent(stock.symbol)}`);
    mark(this.link, 'title', stock.symbol);
  }

  /**
   * Shows what has changed.
   * @param {Book} book
   * @param {Moment} moment
   */
  paint(book, moment) {
    const stock = this.stock;
    if (stock === null) return;
    if (this.ticks !== stock.ticks) {
      const isNews = this.ticks >= 0 && moment.isLive;
      this.ticks = stock.ticks;
      this.#write(book, stock);
      if (isNews) this.#flash(stock.direction);
    }
    const isStale = stock.generation !== moment.generation || !moment.isLive;
    mark(this.element, 'data-stale', isStale ? '' : null);
    const updated = words.moment(stock.quote?.updated);
    const age = Number.isNaN(updated) ? '' : words.age(moment.serverNow - updated);
    write(this.age, age);
    this.#plot(book, stock, moment);
  }

  /**
   * @param {Book} book
   * @param {Stock} stock
   */
  #write(book, stock) {
    const quote = stock.quote;
    const isEmpty = quote === null;
    mark(this.element, 'data-empty', isEmpty ? '' : null);
    this.price.show(quote?.price);
    this.bid.show(quote?.bid);
    this.ask.show(quote?.ask);
    write(this.volume, quote?.volume ?? '–');
    const change = book.changeOf(stock);
    write(this.amount, change?.amount ?? '–');
    write(this.percent, change?.percent ?? '');
    mark(this.change, 'data-sign', String(change?.sign ?? 0));
    const status = STATUSES.get(quote?.status ?? 'trading') ?? quote?.status ?? '';
    const isOut = status === '' && quote?.volume === '0';
    write(this.badge, isOut ? 'no shares' : status);
    mark(this.badge, 'data-is', isOut ? 'exhausted' : (quote?.status ?? ''));
    mark(this.element, 'data-status', quote?.status ?? null);
  }

  /** @param {number} direction */
  #flash(direction) {
    mark(this.flash, 'data-sign', String(direction));
    this.animation.currentTime = 0;
    this.animation.play();
  }

  /**
   * @param {Book} book
   * @param {Stock} stock
   * @param {Moment} moment
   */
  #plot(book, stock, moment) {
    const isNew = this.plottedTicks < 0;
    const isDue = this.plottedTicks !== stock.ticks || this.plottedBucket !== moment.bucket;
    if (!isNew && (!isDue || moment.now - this.plottedAt < PLOT_MS)) return;
    if (performance.now() > moment.until) {
      moment.isLate = true;
      return;
    }
    this.plottedTicks = stock.ticks;
    this.plottedBucket = moment.bucket;
    this.plottedAt = moment.now;
    if (stock.quote?.price === undefined) {
      this.plot.clear();
      return;
    }
    const sign = book.changeOf(stock)?.sign ?? 0;
    const colour = !moment.isLive || sign === 0 ? 'faint' : sign > 0 ? 'up' : 'down';
    this.plot.draw(stock.window, moment.bucket, moment.palette.colour(colour));
  }

  /** It is to be drawn whatever it shows already. */
  expire() {
    this.plottedTicks = -1;
  }
}

export class Table {
  /**
   * @param {Book} book
   * @param {Palette} palette
   * @param {{ want: (symbols: Set<string>) => void, open: (symbol: string) => void, dirty: () => void }} app
   */
  constructor(book, palette, app) {
    this.book = book;
    this.palette = palette;
    this.app = app;
    this.grid = byId('grid');
    this.rowsRoom = byId('rows');
    /** @type {Row[]} */
    this.rows = [];
    /** @type {string[]} */
    this.names = [];
    this.height = 0;
    this.active = 0;
    this.activeName = '';
    this.first = -1;
    this.last = -1;
    this.grid.addEventListener('scroll', () => app.dirty(), { passive: true });
    this.grid.addEventListener('keydown', (event) => this.#key(event));
    this.grid.addEventListener('focus', () => this.#activate(this.active));
    new ResizeObserver(() => this.measure()).observe(this.grid);
  }

  /**
   * The list is another.
   * @param {string[]} names
   */
  list(names) {
    if (names === this.names) return;
    this.names = names;
    this.rowsRoom.style.height = `${names.length * this.height}px`;
    mark(this.grid, 'aria-rowcount', String(names.length + 1));
    const found = names.indexOf(this.activeName);
    this.active = found >= 0 ? found : Math.min(this.active, Math.max(names.length - 1, 0));
    this.first = -1;
    this.app.dirty();
  }

  /** Its room is another. */
  measure() {
    const height = Number.parseInt(getComputedStyle(this.grid).getPropertyValue('--row'), 10);
    const room = this.grid.clientHeight;
    if (room === 0 || Number.isNaN(height)) return;
    this.height = height;
    const count = Math.ceil(room / height) + 2 * BEYOND;
    while (this.rows.length < count) {
      const row = new Row(this.rows.length, this.app.open);
      this.rows.push(row);
      this.rowsRoom.append(row.element);
    }
    for (const row of this.rows.splice(count)) row.element.remove();
    for (const row of this.rows) {
      row.index = -1;
      const { clientWidth, clientHeight } = row.canvas;
      row.plot.fit(clientWidth, clientHeight);
      row.expire();
    }
    this.rowsRoom.style.height = `${this.names.length * height}px`;
    this.first = -1;
    this.app.dirty();
  }

  /** Colours are others now. */
  recolour() {
    for (const row of this.rows) row.expire();
  }

  /** Goes to the top of the list. */
  rewind() {
    this.grid.scrollTop = 0;
    this.active = 0;
    this.activeName = this.names[0] ?? '';
  }

  /** The stocks in sight. */
  shown() {
    return new Set(this.names.slice(Math.max(this.first, 0), this.last));
  }

  /**
   * @param {number} now
   * @param {number} generation of the connection
   * @param {boolean} isLive
   */
  paint(now, generation, isLive) {
    if (this.height === 0) return;
    this.#move();
    const bucket = bucketOf(now);
    const { palette } = this;
    const until = performance.now() + PLOTS_MS;
    const fixed = { now, serverNow: serverNow(), bucket, generation, isLive, palette };
    const moment = { ...fixed, until, isLate: false };
    for (const row of this.rows) {
      if (!row.element.hidden) row.paint(this.book, moment);
    }
    if (moment.isLate) this.app.dirty();
  }

  /** Puts the rows where they are seen. */
  #move() {
    const top = this.grid.scrollTop;
    const visible = Math.floor(top / this.height);
    const last = Math.max(0, this.names.length - this.rows.length);
    const first = Math.min(Math.max(0, visible - BEYOND), last);
    if (first === this.first) return;
    this.first = first;
    this.last = Math.min(first + this.rows.length, this.names.length);
    for (let index = first; index < first + this.rows.length; index++) {
      // A row stays where it is as long as that is seen.
      const row = this.rows[index % this.rows.length];
      row.element.hidden = index >= this.last;
      if (row.element.hidden) continue;
      row.place(index, this.height);
      row.bind(this.book.stock(this.names[index]));
      mark(row.element, 'data-active', index === this.active ? '' : null);
    }
    const shown = this.shown();
    this.book.trim(shown);
    this.app.want(shown);
    this.#point();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.height) - 2);
    /** @type {Record<string, number>} */
    const steps = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: this.names.length - 1,
    };
    if (event.key === 'Enter') {
      const name = this.names[this.active];
      if (name !== undefined) this.app.open(name);
    } else if (event.key in steps) {
      this.#activate(steps[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** @param {number} index */
  #activate(index) {
    if (this.names.length === 0) return;
    this.active = Math.min(Math.max(index, 0), this.names.length - 1);
    this.activeName = this.names[this.active];
    const head = this.rowsRoom.offsetTop;
    const top = this.active * this.height;
    const room = this.grid.clientHeight - head;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + this.height > this.grid.scrollTop + room) {
      this.grid.scrollTop = top + this.height - room;
    }
    this.first = -1;
    this.#move();
    this.app.dirty();
  }

  /** Tells where the active row is. */
  #point() {
    const isThere = this.active >= this.first && this.active < this.last;
    const slot = this.active % Math.max(this.rows.length, 1);
    mark(this.grid, 'aria-activedescendant', isThere ? `row-${slot}` : null);
  }
}
