// A small plot of two minutes of a price: a step line, tinted below, with a dot where it is now.
//
// It draws on a canvas of a given size and knows no stocks.

import { WINDOW_BUCKETS } from './history.js';

/** @typedef {import('./history.js').Window} Values */

const values = new Float64Array(WINDOW_BUCKETS);

const DOT = 1.75;

export class Sparkline {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext('2d', { alpha: true });
    this.width = 0;
    this.height = 0;
  }

  /**
   * Fits it to its room on the page.
   * @param {number} width
   * @param {number} height
   */
  fit(width, height) {
    const scale = Math.min(devicePixelRatio, 3);
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.context?.scale(scale, scale);
  }

  clear() {
    this.context?.clearRect(0, 0, this.width, this.height);
  }

  /**
   * @param {Values} window
   * @param {number} bucket the one of now
   * @param {string} colour
   */
  draw(window, bucket, colour) {
    const { context, width, height } = this;
    if (context === null || width === 0) return;
    context.clearRect(0, 0, width, height);
    const count = window.copy(bucket, values);
    if (count === 0) return;
    let [low, high] = [values[0], values[0]];
    for (let at = 1; at < count; at++) {
      low = Math.min(low, values[at]);
      high = Math.max(high, values[at]);
    }
    const [top, bottom] = [DOT + 1, height - DOT - 1];
    const span = high - low;
    const y = (/** @type {number} */ value) =>
      span > 0 ? bottom - ((value - low) / span) * (bottom - top) : (top + bottom) / 2;
    const step = (width - 2 * DOT) / (WINDOW_BUCKETS - 1);
    const left = width - DOT - (count - 1) * step;
    const right = width - DOT;
    const now = y(values[count - 1]);
    context.beginPath();
    context.moveTo(left, y(values[0]));
    for (let at = 1; at < count; at++) {
      context.lineTo(left + at * step, y(values[at - 1]));
      context.lineTo(left + at * step, y(values[at]));
    }
    context.strokeStyle = colour;
    context.lineWidth = 1.25;
    context.lineJoin = 'round';
    context.stroke();
    context.lineTo(right, height);
    context.lineTo(left, height);
    context.closePath();
    context.fillStyle = colour;
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(right, now, DOT, 0, 2 * Math.PI);
    context.fill();
  }
}
