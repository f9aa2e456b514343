// What the page asks of the server beside the stream: who this is, pages of stocks, trades, how the server is.
//
// It owns the requests and their errors. Invariant: nothing is asked that the rights of the user do not allow, so that
// a refusal is news.

/** A request that was refused, in the words of the server. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Requests that take longer are given up. */
const PATIENCE_MS = 15_000;

/** How far the clock of the server is ahead of this one, in milliseconds, where it is more than some seconds. */
let ahead = 0;

/** Now, by the clock of the server. */
export function serverNow() {
  return Date.now() + ahead;
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
async function ask(path, options = {}) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(path, { ...options, signal });
  const date = Date.parse(response.headers.get('date') ?? '');
  // The header has whole seconds.
  if (Math.abs(date - Date.now()) > 3000) ahead = date - Date.now();
  if (response.status === 204) return null;
  const document = await response.json();
  if (!response.ok) throw new Refused(response.status, document.detail ?? response.statusText);
  return document;
}

/** @returns {Promise<Session>} */
export function session() {
  return ask('/v1/session');
}

/** @param {string} token */
export function signIn(token) {
  return ask('/v1/session', { method: 'POST', headers: { Authorization: `Bearer ${token}` } });
}

export function signOut() {
  return ask('/v1/session', { method: 'DELETE' });
}

/**
 * What the user may do with a stock: `read`, `write`, `trade`.
 * @param {string} symbol
 * @returns {Promise<string[]>}
 */
export async function rightsOn(symbol) {
  const { rights } = await ask(`/v1/session?symbol=${encodeURIComponent(symbol)}`);
  return rights;
}

/**
 * A page of the stocks that fit a pattern and may be read.
 * @param {string} pattern
 * @param {string | undefined} cursor
 * @returns {Promise<{ quotes: Quote[], next?: string }>}
 */
export function page(pattern, cursor) {
  const query = new URLSearchParams({ limit: '1000' });
  if (pattern !== '*') query.set('pattern', pattern);
  if (cursor !== undefined) query.set('cursor', cursor);
  return ask(`/v1/stocks?${query}`);
}

/**
 * Trades shares; the quote after it.
 * @param {string} symbol
 * @param {'buy' | 'sell'} side
 * @param {string} quantity
 * @returns {Promise<Quote>}
 */
export function trade(symbol, side, quantity) {
  return ask(`/v1/stocks/${encodeURIComponent(symbol)}/trades`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ side, quantity }),
  });
}

/** @returns {Promise<any>} */
export function server() {
  return ask('/v1/server');
}

/**
 * A page of who is connected.
 * @param {string | undefined} cursor
 * @returns {Promise<{ clients: any[], next?: string }>}
 */
export function clients(cursor) {
  return ask(cursor === undefined ? '/v1/clients' : `/v1/clients?cursor=${cursor}`);
}
