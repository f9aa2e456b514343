// Which stocks there are: the names that fit a pattern, sorted, page by page from the server.
//
// It owns the list of names and when it is read again. The server filters, so a pattern means here what it means
// everywhere, and names that may not be read are not told. Invariant: the list has each name once, in order, and at most
// `LISTED_MAX` of them; no page takes long to take in.

import * as api from './api.js';
import { wordsOf } from './page.js';

/** Names of the list; of more the first that the server tells. */
export const LISTED_MAX = 100_000;

/** Least and most time between two readings, in milliseconds. */
const PAUSE_MS = 3000;
const PAUSE_MAX_MS = 60_000;

/** A reading takes at most this part of the time. */
const SHARE = 0.05;

/**
 * What a filter means: with none of the signs of patterns it is how names begin.
 * @param {string} filter
 */
export function patternOf(filter) {
  return /[*?[\\]/.test(filter) ? filter : `${filter}*`;
}

/**
 * Two sorted lists as one, without duplicates.
 * @param {string[]} one
 * @param {string[]} other
 */
export function merged(one, other) {
  /** @type {string[]} */
  const all = [];
  for (let at = 0, from = 0; at < one.length || from < other.length; ) {
    const takesOne = from >= other.length || (at < one.length && one[at] <= other[from]);
    const name = takesOne ? one[at++] : other[from++];
    if (all[all.length - 1] !== name) all.push(name);
  }
  return all;
}

export class Listing {
  /**
   * @param {(quote: Quote) => void} take each quote of a page
   * @param {() => void} changed the list is another
   */
  constructor(take, changed) {
    this.take = take;
    this.changed = changed;
    /** @type {string[]} */
    this.names = [];
    this.pattern = '*';
    /** Whether all names are there, or only as many as may be. */
    this.isWhole = false;
    this.isCut = false;
    this.problem = '';
    this.reading = 0;
    this.timer = 0;
  }

  /**
   * Lists the names that fit this pattern.
   * @param {string} pattern
   */
  show(pattern) {
    this.pattern = pattern;
    this.isWhole = false;
    this.read();
  }

  stop() {
    this.reading++;
    clearTimeout(this.timer);
  }

  /** Reads the list, and again after a while. */
  async read() {
    clearTimeout(this.timer);
    const reading = ++this.reading;
    const began = performance.now();
    try {
      await this.#pages(reading);
      this.problem = '';
    } catch (error) {
      this.problem = wordsOf(error);
    }
    if (reading !== this.reading) return;
    const pause = (performance.now() - began) / SHARE;
    const within = Math.min(Math.max(pause, PAUSE_MS), PAUSE_MAX_MS);
    this.timer = setTimeout(() => this.read(), within);
    this.changed();
  }

  /** @param {number} reading */
  async #pages(reading) {
    // A whole list is shown until the next one is whole.
    const isShown = !this.isWhole;
    /** @type {string[]} */
    let names = [];
    let cursor;
    do {
      const page = await api.page(this.pattern, cursor);
      if (reading !== this.reading) return;
      page.quotes.forEach(this.take);
      names = merged(names, page.quotes.map(({ symbol }) => symbol).sort());
      cursor = page.next;
      if (isShown && (names.length > 0 || cursor === undefined)) {
        this.names = names;
        this.changed();
      }
    } while (cursor !== undefined && names.length < LISTED_MAX);
    this.names = names.slice(0, LISTED_MAX);
    this.isWhole = true;
    this.isCut = cursor !== undefined;
  }
}
