// The live table: as many rows as fit, moved along a list of any length.
//
// It owns its rows and which of them stand where. Only what is in sight is wanted from the stream. Invariant: a row is
// written only where what it shows has changed, and only in a frame; no frame writes all rows or draws all plots.

/** @import { Book, Stock } from './book.js' */

import { statusOf } from './book.js';
import { bucketOf } from './history.js';
import { Figure, byId, make, mark, write } from './page.js';
import { serverNow } from './api.js';
import { Sparkline } from './sparkline.js';
import * as words from './words.js';

/** Rows beyond the edges that are ready before they are scrolled to. */
const BEYOND = 6;

/** A plot is drawn at most once in this time, in milliseconds. */
const PLOT_MS = 200;

/** Plots that one frame draws; the others have the next. */
const PLOTS_MAX = 8;

/** Rows that one frame writes for the first time. */
const FRESH_MAX = 12;

/** A tick fades in this number of steps, each as long, in milliseconds. */
const GLOWS = 6;
const GLOW_MS = 120;

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
    this.plot = new Sparkline();
    this.flashedAt = 0;
    this.glow = 0;
    const cell = (/** @type {string} */ name, /** @type {Node[]} */ ...children) =>
      make('div', { role: 'gridcell', class: name }, ...children);
    this.price = new Figure(cell('price figure', this.flash));
    this.bid = new Figure(cell('bid figure'));
    this.ask = new Figure(cell('ask figure'));
    this.volume = cell('volume figure');
    this.amount = make('span', { class: 'amount' });
    this.percent = make('span', { class: 'percent' });
    this.change = cell('change figure', this.amount, this.percent);
    this.age = cell('age figure');
    this.status = cell('status', this.badge);
    this.element = make(
      'div',
      { role: 'row', class: 'row', id: `row-${slot}` },
      cell('symbol', this.link),
      this.price.element,
      this.change,
      cell('plot', this.plot.element),
      this.bid.element,
      this.ask.element,
      this.volume,
      this.age,
      this.status,
    );
    this.element.addEventListener('click', (event) => {
      // A link does as links do.
      if (event.target !== this.link && this.stock !== null) open(this.stock.symbol);
    });
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
    this.flashedAt = 0;
    this.plot.draw(null, 0);
    mark(this.element, 'data-empty', '');
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
      // Its first quote writes all of the row.
      if (this.ticks <= 0 && moment.fresh++ >= FRESH_MAX) {
        moment.isUnfinished = true;
        return;
      }
      const isNews = this.ticks >= 0 && moment.isLive;
      this.ticks = stock.ticks;
      this.#write(book, stock);
      if (isNews) {
        mark(this.flash, 'data-sign', String(stock.direction));
        this.flashedAt = moment.now;
      }
    }
    this.#fade(moment);
    const isOld = stock.generation !== moment.generation || !moment.isLive;
    const isStale = isOld || stock.quote?.feed_state === 'stale';
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
    const { text, is } = statusOf(quote);
    write(this.badge, is === 'good' ? '' : text);
    mark(this.badge, 'data-is', is);
    mark(this.element, 'data-status', quote?.status ?? null);
  }

  /**
   * A tick fades by what is written: an animation would have a layer of its own.
   * @param {Moment} moment
   */
  #fade(moment) {
    const glow = Math.max(0, GLOWS - Math.floor(Math.max(0, moment.now - this.flashedAt) / GLOW_MS));
    moment.isUnfinished ||= glow > 0;
    if (glow === this.glow) return;
    this.glow = glow;
    this.flash.style.setProperty('--glow', String(glow));
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
    if (moment.plots === PLOTS_MAX) {
      moment.isUnfinished = true;
      return;
    }
    moment.plots++;
    this.plottedTicks = stock.ticks;
    this.plottedBucket = moment.bucket;
    this.plottedAt = moment.now;
    mark(this.plot.element, 'data-sign', String(book.changeOf(stock)?.sign ?? 0));
    this.plot.draw(stock.quote?.price === undefined ? null : stock.window, moment.bucket);
  }
}

export class Table {
  /**
   * @param {Book} book
   * @param {{ want: (symbols: Set<string>) => void, open: (symbol: string) => void, dirty: () => void }} app
   */
  constructor(book, app) {
    this.book = book;
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
    const isSame = names.length === this.names.length && names.every((name, at) => name === this.names[at]);
    if (isSame) return;
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
    for (const row of this.rows) row.index = -1;
    this.rowsRoom.style.height = `${this.names.length * height}px`;
    this.first = -1;
    this.app.dirty();
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
    const fixed = { now, serverNow: serverNow(), bucket: bucketOf(now), generation, isLive };
    const moment = { ...fixed, fresh: 0, plots: 0, isUnfinished: false };
    for (const row of this.rows) {
      if (!row.element.hidden) row.paint(this.book, moment);
    }
    if (moment.isUnfinished) this.app.dirty();
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
