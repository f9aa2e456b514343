// Latencies: differences of histograms, their percentiles, and a strip that shows them over time.
//
// A histogram is a list of pairs: the longest time of a bucket in microseconds, and how many requests took at most so
// long and longer than the bucket before. It knows no protocol.

/** @import { Palette } from './page.js' */

import { make } from './page.js';
import * as words from './words.js';

/** Columns of the strip: a second each. */
const COLUMNS = 180;

/** Rows: from 1 µs to 16 s, two for each power of two. */
const ROWS = 48;

/** Labels beside it, in microseconds. */
const LABELS = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7];

const LABEL_WIDTH = 52;

/**
 * What was counted between two looks.
 * @param {number[][]} now
 * @param {number[][]} before
 */
export function differenceOf(now, before) {
  const earlier = new Map(before.map(([us, count]) => [us, count]));
  return now
    .map(([us, count]) => [us, count - (earlier.get(us) ?? 0)])
    .filter(([, count]) => count > 0);
}

/**
 * The time in microseconds that this share of requests does not exceed; null of none.
 * @param {number[][]} counted in any order
 * @param {number} share
 */
export function quantile(counted, share) {
  const sorted = [...counted].sort(([one], [other]) => one - other);
  const all = sorted.reduce((sum, [, count]) => sum + count, 0);
  let seen = 0;
  for (const [us, count] of sorted) {
    seen += count;
    if (seen >= share * all) return us;
  }
  return null;
}

/** @param {number} us */
function rowOf(us) {
  return Math.min(Math.max(Math.round(2 * Math.log2(Math.max(us, 1))), 0), ROWS - 1);
}

/** How many requests took how long, a column a second. */
export class Strip {
  /**
   * @param {HTMLElement} room
   * @param {Palette} palette
   */
  constructor(room, palette) {
    this.palette = palette;
    this.canvas = make('canvas', { role: 'img', 'aria-label': 'Latencies over the last three minutes' });
    this.context = this.canvas.getContext('2d');
    room.append(this.canvas);
    this.cells = new Float64Array(COLUMNS * ROWS);
    this.worst = new Float64Array(COLUMNS).fill(NaN);
    this.next = 0;
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  /**
   * Adds a column.
   * @param {number[][]} counted
   */
  add(counted) {
    const column = this.next % COLUMNS;
    const cells = this.cells.subarray(column * ROWS, (column + 1) * ROWS);
    cells.fill(0);
    for (const [us, count] of counted) cells[rowOf(us)] += count;
    this.worst[column] = quantile(counted, 0.99) ?? NaN;
    this.next++;
    this.draw();
  }

  draw() {
    const { canvas, context } = this;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (context === null || width === 0) return;
    const scale = Math.min(devicePixelRatio, 3);
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    this.#scale(context, width, height);
    this.#cells(context, width, height);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} height
   */
  #scale(context, width, height) {
    context.font = `11px ${getComputedStyle(this.canvas).fontFamily}`;
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (const us of LABELS) {
      const y = height - ((rowOf(us) + 0.5) / ROWS) * height;
      context.fillStyle = this.palette.colour('grid');
      context.fillRect(LABEL_WIDTH, Math.round(y), width - LABEL_WIDTH, 1);
      context.fillStyle = this.palette.colour('faint');
      context.fillText(words.latency(us).replace('.0', ''), LABEL_WIDTH - 8, Math.min(Math.max(y, 7), height - 7));
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} height
   */
  #cells(context, width, height) {
    const wide = (width - LABEL_WIDTH) / COLUMNS;
    const high = height / ROWS;
    const most = this.cells.reduce((most, count) => Math.max(most, count), 1);
    context.fillStyle = this.palette.colour('blue');
    const first = Math.max(0, this.next - COLUMNS);
    for (let at = first; at < this.next; at++) {
      const column = at % COLUMNS;
      const x = width - (this.next - at) * wide;
      for (let row = 0; row < ROWS; row++) {
        const count = this.cells[column * ROWS + row];
        if (count === 0) continue;
        context.globalAlpha = 0.18 + 0.82 * Math.sqrt(Math.log1p(count) / Math.log1p(most));
        context.fillRect(x, height - (row + 1) * high, wide + 0.3, high - 0.4);
      }
    }
    context.globalAlpha = 1;
    context.fillStyle = this.palette.colour('down');
    for (let at = first; at < this.next; at++) {
      const us = this.worst[at % COLUMNS];
      if (Number.isNaN(us)) continue;
      const y = height - (rowOf(us) + 0.5) * high;
      context.fillRect(width - (this.next - at) * wide, y - 0.75, wide + 0.3, 1.5);
    }
  }
}
