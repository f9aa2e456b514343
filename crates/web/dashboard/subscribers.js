// The page of subscribers: who is told of changes, by name, the slowest first.
//
// It owns that page. Invariant: it asks for a bounded number of pages and shows a bounded number of rows.

import * as api from './api.js';
import { byId, fit, make, wordsOf, write } from './page.js';
import * as words from './words.js';

const LOOK_MS = 2000;

/** Pages that are asked for, of a thousand each, and rows that are shown. */
const PAGES_MAX = 10;
const ROWS_MAX = 200;

/** @type {[string, 'text' | 'number'][]} */
const HEADS = [
  ['Name', 'text'],
  ['Protocol', 'text'],
  ['From', 'text'],
  ['Symbols', 'number'],
  ['Patterns', 'number'],
  ['Messages', 'number'],
  ['Conflated', 'number'],
  ['Still to tell', 'number'],
  ['Unsent', 'number'],
  ['Connected', 'number'],
];

export class SubscribersPage {
  constructor() {
    this.timer = 0;
    this.run = 0;
    this.body = make('tbody');
    const heads = HEADS.map(([text, kind]) => make('th', { scope: 'col', class: kind }, text));
    const head = make('thead', {}, make('tr', {}, ...heads));
    byId('subscribers-room').append(make('table', { class: 'figure' }, head, this.body));
  }

  start() {
    this.stop();
    this.#look(this.run);
  }

  stop() {
    clearTimeout(this.timer);
    this.run++;
  }

  /** @param {number} run */
  async #look(run) {
    if (!document.hidden) {
      try {
        const clients = await this.#clients();
        if (run === this.run) this.#show(clients);
      } catch (error) {
        write(byId('subscribers-said'), wordsOf(error));
      }
    }
    if (run === this.run) this.timer = setTimeout(() => this.#look(run), LOOK_MS);
  }

  /** @returns {Promise<Client[]>} */
  async #clients() {
    /** @type {Client[]} */
    const found = [];
    let cursor;
    for (let page = 0; page < PAGES_MAX; page++) {
      const { clients, next } = await api.clients(cursor);
      found.push(...clients.filter(({ symbols, patterns }) => symbols + patterns > 0));
      cursor = next;
      if (cursor === undefined) break;
    }
    return found.sort(bySlowness);
  }

  /** @param {Client[]} clients */
  #show(clients) {
    const shown = clients.slice(0, ROWS_MAX);
    const slow = clients.filter(({ marks, unsent_bytes: unsent }) => marks + unsent > 0).length;
    const all = words.counted(clients.length, 'subscriber');
    const more = clients.length > shown.length ? `, the slowest ${ROWS_MAX} are shown` : '';
    write(byId('subscribers-said'), `${all}${more}; ${words.count(slow)} behind at this moment`);
    fit(this.body, shown.length, row);
    shown.forEach((client, at) => fill(this.body.rows[at], client));
  }
}

/**
 * Who has most waiting, then who was spared most.
 * @param {Client} one
 * @param {Client} other
 */
function bySlowness(one, other) {
  return (
    other.unsent_bytes - one.unsent_bytes ||
    other.marks - one.marks ||
    other.conflated_share - one.conflated_share ||
    other.age_seconds - one.age_seconds
  );
}

function row() {
  const cells = HEADS.map(([head, kind]) => {
    if (head !== 'Conflated') return make('td', { class: kind });
    const meter = make('span', { class: 'meter', 'aria-hidden': 'true' }, make('i'));
    return make('td', { class: kind }, make('span', { class: 'share' }, make('span'), meter));
  });
  return make('tr', {}, ...cells);
}

/**
 * @param {HTMLTableRowElement} row
 * @param {Client} client
 */
function fill(row, client) {
  const share = client.conflated_share;
  const texts = [
    client.name || client.user || client.id,
    client.protocol,
    client.peer,
    words.count(client.symbols),
    words.count(client.patterns),
    words.short(client.messages),
    null,
    words.count(client.marks),
    words.bytes(client.unsent_bytes),
    words.lasting(client.age_seconds),
  ];
  texts.forEach((text, at) => {
    if (text !== null) write(row.cells[at], text);
  });
  const [text, meter] = row.cells[6].children[0].children;
  write(text, `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`);
  const bar = meter.children[0];
  if (bar instanceof HTMLElement) bar.style.transform = `scaleX(${share})`;
  const isSlow = client.unsent_bytes > 0 || client.marks > 0;
  row.cells[0].className = isSlow ? 'text hit' : 'text';
}
