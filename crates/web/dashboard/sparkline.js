// A small plot of two minutes of a price: a step line, tinted below, with a dot where it is now.
//
// It writes paths and knows no stocks; the page has their style. The browser rasters paths beside the main thread,
// which a canvas would keep busy. Invariant: coordinates are whole numbers, two to a bucket, so paths are short.

import { WINDOW_BUCKETS } from './history.js';
import { byId } from './page.js';

/** The box of the drawing: its height, what is left free at top and bottom, and where now is. */
const HEIGHT = 52;
const MARGIN = 6;
const NOW = 2 * WINDOW_BUCKETS;

const values = new Float64Array(WINDOW_BUCKETS);

export class Sparkline {
  constructor() {
    const { content } = /** @type {HTMLTemplateElement} */ (byId('sparkline'));
    this.element = /** @type {Element} */ (document.importNode(content, true).firstElementChild);
  }

  /**
   * @param {import('./history.js').Window | null} window
   * @param {number} bucket the one of now
   */
  draw(window, bucket) {
    const count = window?.copy(bucket, values) ?? 0;
    let [low, high] = [Infinity, -Infinity];
    for (let at = 0; at < count; at++) {
      low = Math.min(low, values[at]);
      high = Math.max(high, values[at]);
    }
    const scale = high > low ? (HEIGHT - 2 * MARGIN) / (high - low) : 0;
    const left = NOW - 2 * (count - 1);
    let [line, last] = ['', NaN];
    for (let at = 0; at < count; at++) {
      const y = scale > 0 ? Math.round(HEIGHT - MARGIN - (values[at] - low) * scale) : HEIGHT / 2;
      if (at === 0) line = `M${left} ${y}`;
      else if (y !== last) line += `H${left + 2 * at}V${y}`;
      last = y;
    }
    const paths = count === 0 ? ['', '', ''] : [`${line}H${NOW}V${HEIGHT}H${left}`, `${line}H${NOW}`, `M${NOW} ${last}h.1`];
    paths.forEach((path, at) => this.element.children[at].setAttribute('d', path));
  }
}
