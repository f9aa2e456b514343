// The page of the server: rates by protocol, latencies and their strips, connections by worker, commits, memory, limits
// that were hit, and the certificate.
//
// It owns that page and the figures of the last minutes. What it shows are differences between two looks, a second
// apart, so that it is of now and not since the start. Invariant: its memory does not grow.

/** @import { Palette } from './page.js' */

import * as api from './api.js';
import { Chart } from './chart.js';
import { byId, fit, make, mark, wordsOf, write } from './page.js';
import { Strip, differenceOf, quantile } from './strip.js';
import * as words from './words.js';

/** Looks at the server, in milliseconds, and how many are kept. */
const LOOK_MS = 1000;
const LOOKS = 180;

/** Looks that percentiles are of. */
const RECENT = 10;

/** Protocols, and their colours. */
const PROTOCOLS = [
  ['line', 'Line', 'blue'],
  ['resp', 'RESP', 'orange'],
  ['http', 'HTTP', 'up'],
  ['grpc', 'gRPC', 'purple'],
];

const MEASURED = PROTOCOLS.slice(1);

export class ServerPage {
  /** @param {Palette} palette */
  constructor(palette) {
    this.palette = palette;
    this.timer = 0;
    this.run = 0;
    /** @type {any} */
    this.before = null;
    this.beforeAt = 0;
    this.looks = 0;
    this.times = new Float64Array(LOOKS);
    this.rates = PROTOCOLS.map(() => new Float64Array(LOOKS));
    /** @type {Map<string, number[][][]>} Latencies of the last looks, by protocol. */
    this.recent = new Map(MEASURED.map(([key]) => [key, []]));
    this.cards = byId('server-cards');
    this.legend = make('div', { class: 'legend figure' });
    const room = make('div', { class: 'plot-room' });
    this.#card('full', 'Requests a second', this.legend, room);
    const lines = PROTOCOLS.map(([, label, colour]) => ({ label, colour }));
    this.chart = new Chart(room, palette, lines, { value: words.short, fromZero: true });
    this.latencies = this.#table(['Protocol', 'p50', 'p99', 'p99.9', 'Requests'], 1);
    const strips = make('div', { class: 'strip' });
    this.strip = new Strip(strips, palette);
    this.#card('two', 'Latency, last ten seconds', this.latencies.table, this.#note('Of RESP a sample is measured; the line protocol reads no clock.'));
    this.#card('two strip', 'Latency of all requests, last three minutes', strips);
    this.connections = this.#card('', 'Connections');
    this.commits = this.#card('', 'Commits');
    this.memory = this.#card('', 'Memory');
    this.limits = this.#table(['Limit', 'Hits'], 1);
    this.noLimit = this.#note('None since the server was started.');
    this.#card('two', 'Limits hit', this.limits.table, this.noLimit);
    this.certificate = this.#card('two', 'Certificate');
  }

  start() {
    this.stop();
    this.before = null;
    this.#look(this.run);
  }

  stop() {
    clearTimeout(this.timer);
    this.run++;
  }

  /** Colours are others now. */
  recolour() {
    this.chart.recolour();
    this.strip.draw();
  }

  /** @param {number} run */
  async #look(run) {
    const began = performance.now();
    if (!document.hidden) {
      try {
        const now = await api.server();
        if (run === this.run) this.#show(now, performance.now());
      } catch (error) {
        // The next look may succeed.
        write(byId('server-said'), wordsOf(error));
      }
    }
    if (run !== this.run) return;
    const pause = Math.max(0, LOOK_MS - (performance.now() - began));
    this.timer = setTimeout(() => this.#look(run), pause);
  }

  /**
   * @param {any} now
   * @param {number} at
   */
  #show(now, at) {
    const before = this.before;
    const seconds = (at - this.beforeAt) / 1000;
    this.before = now;
    this.beforeAt = at;
    this.#lead(now);
    this.#connections(now);
    this.#commits(now, before, seconds);
    this.#memory(now);
    this.#limits(now);
    this.#certificate(now);
    if (before !== null && seconds > 0 && now.uptime_seconds >= before.uptime_seconds) {
      this.#rates(now, before, seconds);
      this.#latencies(now, before);
    }
  }

  /** @param {any} now */
  #lead(now) {
    const health = byId('server-health');
    const { cluster, durable } = now;
    const { read_only: isReadOnly, read_only_cause: cause } = durable ?? {};
    const isFull = now.connections.open >= 0.9 * now.connections.max;
    const bad = isReadOnly ? `read-only: ${cause}` : cluster && cluster.state !== 'ok' ? `cluster: ${cluster.state}` : '';
    write(health, bad || (isFull ? 'connections near the limit' : 'all is well'));
    mark(health, 'data-is', bad ? 'bad' : isFull ? 'warn' : 'good');
    write(
      byId('server-said'),
      `${now.server}, up for ${words.lasting(now.uptime_seconds)}, ${words.counted(now.stocks, 'stock')}, ` +
        (cluster ? `in cluster ${cluster.name}` : durable ? 'durable' : 'in memory alone'),
    );
  }

  /**
   * @param {any} now
   * @param {any} before
   * @param {number} seconds
   */
  #rates(now, before, seconds) {
    const time = Date.now() / 1000;
    const at = Math.min(this.looks, LOOKS - 1);
    if (this.looks >= LOOKS) {
      for (const array of [this.times, ...this.rates]) array.copyWithin(0, 1);
    }
    this.looks++;
    this.times[at] = time;
    const parts = PROTOCOLS.map(([key, label, colour], line) => {
      const rate = Math.max(0, now.requests[key] - before.requests[key]) / seconds;
      this.rates[line][at] = rate;
      const swatch = make('i');
      swatch.style.setProperty('--tone', `var(--${colour})`);
      return make('span', {}, swatch, `${label} `, make('b', {}, words.short(rate)));
    });
    this.legend.replaceChildren(...parts);
    const rates = this.rates.map((rates) => rates.subarray(0, at + 1));
    this.chart.show(this.times.subarray(0, at + 1), ...rates);
  }

  /**
   * @param {any} now
   * @param {any} before
   */
  #latencies(now, before) {
    /** @type {number[][]} */
    let all = [];
    const rows = MEASURED.map(([key, label]) => {
      const latest = differenceOf(now.latency?.[key] ?? [], before.latency?.[key] ?? []);
      const recent = this.recent.get(key) ?? [];
      recent.push(latest);
      if (recent.length > RECENT) recent.shift();
      all = all.concat(latest);
      const counted = recent.flat();
      const requests = counted.reduce((sum, [, count]) => sum + count, 0);
      const percentiles = [0.5, 0.99, 0.999].map((share) => {
        const us = quantile(counted, share);
        return us === null ? '–' : words.latency(us);
      });
      return [label, ...percentiles, words.count(requests)];
    });
    this.latencies.fill(rows);
    this.strip.add(all);
  }

  /** @param {any} now */
  #connections({ connections, http }) {
    const workers = connections.by_worker.map((/** @type {number} */ open, /** @type {number} */ at) =>
      bar(`Worker ${at + 1}`, words.count(open), open / Math.max(1, ...connections.by_worker), false),
    );
    this.connections.replaceChildren(
      ...bar('Line and RESP', `${words.count(connections.open)} of ${words.short(connections.max)}`, connections.open / connections.max),
      ...workers.flat(),
      ...bar('HTTP and gRPC', `${words.count(http.open)} of ${words.short(http.max)}`, http.open / http.max),
      ...bar('Streams', `${words.count(http.streams)} of ${words.short(http.streams_max)}`, http.streams / http.streams_max),
    );
  }

  /**
   * @param {any} now
   * @param {any} before
   * @param {number} seconds
   */
  #commits({ durable }, before, seconds) {
    if (!durable) {
      this.commits.replaceChildren(this.#note('All is in memory: nothing is written to a disk, and a restart begins with what the catalog file has.'));
      return;
    }
    const earlier = before?.durable ?? durable;
    const commits = durable.commits - earlier.commits;
    const stocks = durable.stocks_written - earlier.stocks_written;
    this.commits.replaceChildren(
      fact('Commits a second', seconds > 0 ? words.short(commits / seconds) : '–'),
      fact('Stocks a commit', commits > 0 ? words.short(stocks / commits) : '–'),
      fact('The last took', words.latency(durable.last_commit_us)),
      fact('The longest took', words.latency(durable.longest_commit_us)),
      fact('Commits in all', words.count(durable.commits)),
    );
  }

  /** @param {any} now */
  #memory({ memory, catalog_bytes: catalog, resident_bytes: resident }) {
    const { held_bytes: held, max_bytes: max } = memory;
    this.memory.replaceChildren(
      ...bar('Held by connections', `${words.bytes(held)} of ${words.bytes(max)}`, held / max),
      fact('Catalog', words.bytes(catalog)),
      fact('Process', resident === null ? '–' : words.bytes(resident)),
    );
  }

  /** @param {any} now */
  #limits({ limits_hit: hits }) {
    const rows = hits.map((/** @type {{ about: string, hits: number }} */ { about, hits }) => [about, words.count(hits)]);
    this.limits.fill(rows);
    this.limits.table.hidden = rows.length === 0;
    this.noLimit.hidden = rows.length > 0;
  }

  /** @param {any} now */
  #certificate({ certificate }) {
    if (!certificate) {
      this.certificate.replaceChildren(this.#note('No address speaks TLS.'));
      return;
    }
    const days = certificate.left_seconds / 86_400;
    const big = make('p', { class: `big figure${days < 21 ? ' hit' : ''}` }, `${Math.floor(days)} days`);
    this.certificate.replaceChildren(
      big,
      this.#note('until it ends'),
      fact('Exchanged while running', words.count(certificate.exchanged)),
      fact('Refused for a mistake', words.count(certificate.refused)),
    );
  }

  /**
   * @param {string} kind
   * @param {string} title
   * @param {...Node} children
   */
  #card(kind, title, ...children) {
    const room = make('div', {}, ...children);
    const section = make('section', { class: `card ${kind}`.trim() }, make('h2', {}, title), room);
    this.cards.append(section);
    return room;
  }

  /** @param {string} text */
  #note(text) {
    return make('p', { class: 'said' }, text);
  }

  /**
   * A table whose rows are written where they are others.
   * @param {string[]} heads
   * @param {number} numbersFrom the column from which there are numbers
   */
  #table(heads, numbersFrom) {
    const kind = (/** @type {number} */ at) => (at >= numbersFrom ? { class: 'number' } : undefined);
    const head = make('tr', {}, ...heads.map((text, at) => make('th', { scope: 'col', ...kind(at) }, text)));
    const body = make('tbody');
    const table = make('table', {}, make('thead', {}, head), body);
    const fill = (/** @type {string[][]} */ rows) => {
      fit(body, rows.length, () => make('tr', {}, ...heads.map((_, at) => make('td', kind(at)))));
      rows.forEach((row, at) => row.forEach((text, cell) => write(body.rows[at].cells[cell], text)));
    };
    return { table, fill };
  }
}

/**
 * A name, a figure, and how much of something it is.
 * @param {string} name
 * @param {string} figure
 * @param {number} share
 * @param {boolean} [warns] near the whole
 */
function bar(name, figure, share, warns = true) {
  const fill = make('i', warns && share > 0.85 ? { 'data-is': 'warn' } : {});
  fill.style.transform = `scaleX(${Math.min(Math.max(share, 0), 1) || 0})`;
  return [fact(name, figure), make('div', { class: 'meter', 'aria-hidden': 'true' }, fill)];
}

/**
 * @param {string} name
 * @param {string} figure
 */
function fact(name, figure) {
  return make('p', { class: 'bar figure' }, make('span', {}, name), make('span', {}, figure));
}
