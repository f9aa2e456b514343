// The dashboard: it puts the parts together, and decides which page is shown and when a frame is painted.
//
// docs/dashboard.md draws them.
//
// Invariant: quotes change the book alone; elements are written in one callback a frame, and only while there is
// something to write.

import * as api from './api.js';
import { Book } from './book.js';
import { Connection } from './connection.js';
import { BUCKET_MS } from './history.js';
import { LISTED_MAX, Listing, patternOf } from './listing.js';
import { Palette, byId, mark, wordsOf, write } from './page.js';
import { ServerPage } from './server.js';
import { StockPage } from './stock.js';
import { SubscribersPage } from './subscribers.js';
import { Table } from './table.js';
import * as words from './words.js';

/** How long after the last letter a filter is applied, in milliseconds. */
const FILTER_MS = 120;

const NONE_LISTED = 'No stock is listed that you may read. List one: stockd set ACME --price 12.34';

const PATTERNS = '* stands for any text, ? for one letter, [A-C] for one of a set; case matters.';

/** Pause between two attempts to find out who this is, in milliseconds. */
const RETRY_MS = 2000;

const THEMES = ['system', 'light', 'dark'];

/** Pages by the beginning of what stands behind the `#`. */
const PAGES = ['stocks', 'stock', 'server', 'subscribers'];

class App {
  constructor() {
    this.book = new Book();
    this.palette = new Palette();
    /** @type {Session} */
    this.session = { open: false, known: false, rights: [] };
    this.page = '';
    this.frame = 0;
    this.flow = { at: performance.now(), ticks: 0, rate: 0 };
    this.connection = new Connection({
      quotes: (quotes) => {
        const now = Date.now();
        for (const quote of quotes) this.book.take(quote, now, this.connection.generation);
        this.dirty();
      },
      state: () => this.#stateChanged(),
    });
    this.listing = new Listing((quote) => this.book.open(quote), () => this.#listed());
    const dirty = () => this.dirty();
    this.table = new Table(this.book, {
      want: (symbols) => this.connection.want(symbols),
      open: (symbol) => (location.hash = `#/stock/${encodeURIComponent(symbol)}`),
      dirty,
    });
    this.stockPage = new StockPage(this.book, this.palette, { dirty });
    this.serverPage = new ServerPage(this.palette);
    this.subscribersPage = new SubscribersPage();
    this.filter = /** @type {HTMLInputElement} */ (byId('filter'));
    this.filterTimer = 0;
  }

  async start() {
    this.#listenToKeys();
    this.#listenToFilter();
    this.#listenToTheme();
    this.#listenToSession();
    byId('retry').addEventListener('click', () => this.connection.retry());
    addEventListener('hashchange', () => this.#route(true));
    addEventListener('online', () => this.connection.retry());
    document.addEventListener('visibilitychange', () => this.dirty());
    // Ages, plots and what flows go on without quotes.
    setInterval(() => this.#second(), 1000);
    setInterval(() => this.dirty(), BUCKET_MS);
    await this.#enter();
  }

  /** Asks for a frame. */
  dirty() {
    if (this.frame === 0) this.frame = requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    this.frame = 0;
    const now = Date.now();
    const { generation, state } = this.connection;
    const isLive = state === 'live';
    if (this.page === 'stocks') this.table.paint(now, generation, isLive);
    if (this.page === 'stock') this.stockPage.paint(now, isLive);
  }

  /** Finds out who this is, and shows what that user may see. */
  async #enter() {
    try {
      this.session = await api.session();
    } catch {
      // The server is not there: it is asked again until it is.
      setTimeout(() => this.#enter(), RETRY_MS);
      return;
    }
    const { open, known, user } = this.session;
    const button = byId('session');
    button.hidden = open;
    write(button, this.#isSomebody() ? `Sign out ${user}` : 'Sign in');
    for (const [page, right] of [['server', 'metrics'], ['subscribers', 'admin']]) {
      const link = document.querySelector(`nav a[data-page="${page}"]`);
      if (link instanceof HTMLElement) link.hidden = !this.#may(right);
    }
    if (known) this.connection.start();
    this.#route(false);
    if (!known) byId('token').focus();
  }

  #isSomebody() {
    const { known, user } = this.session;
    return known && user !== undefined && user !== 'anonymous';
  }

  /** @param {string} right */
  #may(right) {
    return this.session.open || this.session.rights.includes(right);
  }

  /**
   * Shows the page that the address names.
   * @param {boolean} byUser
   */
  #route(byUser) {
    const [, name = '', rest = ''] = /^#\/([^/?]*)\/?([^?]*)/.exec(location.hash) ?? [];
    const isThere = PAGES.includes(name) && (name !== 'stock' || rest !== '');
    const mayShow = this.session.known && this.#mayShow(name);
    const page = !this.session.known ? 'gate' : isThere && mayShow ? name : 'stocks';
    const isOther = page !== this.page || page === 'stock';
    this.page = page;
    for (const id of [...PAGES, 'gate']) byId(id).hidden = id !== page;
    for (const link of document.querySelectorAll('nav a')) {
      const isCurrent = link.getAttribute('data-page') === (page === 'stock' ? 'stocks' : page);
      mark(link, 'aria-current', isCurrent ? 'page' : null);
    }
    if (!isOther) return;
    this.serverPage.stop();
    this.subscribersPage.stop();
    this.listing.stop();
    document.title = page === 'stocks' || page === 'gate' ? 'stockd' : `${title(page, rest)} · stockd`;
    if (page === 'stocks') this.#showStocks();
    else this.connection.want(page === 'stock' ? new Set([decoded(rest)]) : new Set());
    if (page === 'stock') this.stockPage.open(decoded(rest));
    if (page === 'server') this.serverPage.start();
    if (page === 'subscribers') this.subscribersPage.start();
    if (byUser && page === 'stocks') byId('grid').focus({ preventScroll: true });
    else if (byUser && page !== 'gate') byId(page).focus({ preventScroll: true });
    this.dirty();
  }

  /** @param {string} page */
  #mayShow(page) {
    if (page === 'server') return this.#may('metrics');
    return page !== 'subscribers' || this.#may('admin');
  }

  #showStocks() {
    this.table.measure();
    this.listing.show(patternOf(this.filter.value));
    this.connection.want(this.table.shown());
  }

  /** The list of names is another. */
  #listed() {
    const { names, isWhole, isCut, pattern, problem } = this.listing;
    this.table.list(names);
    const most = isCut ? `the first ${words.count(LISTED_MAX)} stocks` : words.counted(names.length, 'stock');
    const fitting = pattern === '*' ? '' : ` ${names.length === 1 ? 'fits' : 'fit'} ${pattern}`;
    write(byId('count'), problem !== '' ? `The list cannot be read: ${problem}` : isWhole ? `${most}${fitting}` : 'Reading the list…');
    const none = byId('none');
    none.hidden = !isWhole || names.length > 0;
    write(none, pattern === '*' ? NONE_LISTED : `No stock fits ${pattern}. ${PATTERNS}`);
  }

  #stateChanged() {
    const { state, nextAttempt, socket } = this.connection;
    const texts = { connecting: 'Connecting', live: 'Live', lost: 'Lost', ended: 'Signed out' };
    if (document.body.dataset.state !== state) {
      document.body.dataset.state = state;
      write(byId('state-text'), texts[state]);
      if (state === 'live' && this.page === 'stocks') this.listing.read();
      if (state === 'ended' && this.session.known) this.#enter();
    }
    byId('banner').hidden = state !== 'lost';
    if (state === 'lost') {
      const seconds = Math.max(1, Math.ceil((nextAttempt - Date.now()) / 1000));
      const since = words.clock(this.connection.heard);
      const next = socket !== null ? 'connecting again…' : `connecting again in ${seconds} s`;
      write(byId('banner-text'), `No connection to the server: prices are of ${since}; ${next}`);
    }
    this.dirty();
  }

  /** What goes on without quotes. */
  #second() {
    if (this.connection.state === 'lost') this.#stateChanged();
    const now = performance.now();
    const { at, ticks } = this.flow;
    const rate = ((this.book.ticks - ticks) * 1000) / Math.max(now - at, 1);
    this.flow = { at: now, ticks: this.book.ticks, rate };
    const { messages, conflated } = this.connection.heartbeat;
    const spared = messages + conflated > 0 ? conflated / (messages + conflated) : 0;
    const share = spared > 0 ? `, ${(spared * 100).toFixed(spared < 0.1 ? 1 : 0)} % conflated` : '';
    write(byId('flow'), `${words.count(rate)} quotes/s for ${words.count(this.connection.wanted.size)} in sight${share}`);
    this.dirty();
  }

  #listenToKeys() {
    addEventListener('keydown', (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const isTyping = event.target instanceof HTMLInputElement;
      if (event.key === '/' && !isTyping && this.page === 'stocks') {
        event.preventDefault();
        this.filter.focus();
        this.filter.select();
      } else if (event.key === 'Escape' && this.page === 'stock') {
        location.hash = '#/';
      }
    });
    this.filter.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.filter.value !== '') {
        this.filter.value = '';
        this.#filtered();
      } else if (event.key === 'Enter' || event.key === 'ArrowDown' || event.key === 'Escape') {
        event.preventDefault();
        byId('grid').focus();
      }
    });
  }

  #listenToFilter() {
    this.filter.addEventListener('input', () => {
      clearTimeout(this.filterTimer);
      this.filterTimer = setTimeout(() => this.#filtered(), FILTER_MS);
    });
  }

  #filtered() {
    const pattern = patternOf(this.filter.value);
    if (pattern === this.listing.pattern) return;
    this.table.rewind();
    this.listing.show(pattern);
  }

  #listenToTheme() {
    const button = byId('theme');
    const root = document.documentElement;
    const apply = (/** @type {string} */ theme) => {
      if (theme === 'system') delete root.dataset.theme;
      else root.dataset.theme = theme;
      mark(button, 'aria-label', theme === 'system' ? 'Colours: as the system' : `Colours: ${theme}`);
      mark(button, 'title', button.getAttribute('aria-label'));
      this.#recolour();
    };
    apply(root.dataset.theme ?? 'system');
    button.addEventListener('click', () => {
      const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? 'system') + 1) % THEMES.length];
      apply(theme);
      try {
        localStorage.setItem('stockd-theme', theme);
      } catch {
        // It is chosen for this page alone.
      }
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#recolour());
  }

  #recolour() {
    this.palette.forget();
    this.stockPage.recolour();
    this.serverPage.recolour();
    this.dirty();
  }

  #listenToSession() {
    byId('session').addEventListener('click', async () => {
      if (this.#isSomebody()) await api.signOut();
      else if (this.session.known) {
        this.session = { ...this.session, known: false };
        this.#route(false);
        byId('token').focus();
        return;
      }
      location.reload();
    });
    const form = byId('sign-in');
    const token = /** @type {HTMLInputElement} */ (byId('token'));
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const said = byId('sign-in-said');
      write(said, '');
      try {
        await api.signIn(token.value.trim());
        token.value = '';
        location.reload();
      } catch (error) {
        mark(said, 'data-is', 'bad');
        write(said, wordsOf(error));
        token.select();
      }
    });
  }
}

/**
 * @param {string} page
 * @param {string} rest
 */
function title(page, rest) {
  return page === 'stock' ? decoded(rest) : page[0].toUpperCase() + page.slice(1);
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

new App().start();
