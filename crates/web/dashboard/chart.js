// Lines over time, drawn by uPlot with the palette of the page.
//
// It owns the plot, its size and its colours. Invariant: it is made again only when its colours are others.

/** @import { Palette } from './page.js' */

export class Chart {
  /**
   * @param {HTMLElement} room that it fills
   * @param {Palette} palette
   * @param {ChartLine[]} lines
   * @param {ChartOptions} [options]
   */
  constructor(room, palette, lines, options = {}) {
    this.room = room;
    this.palette = palette;
    this.lines = lines;
    this.options = options;
    /** @type {uPlot | null} */
    this.plot = null;
    /** @type {uPlot.AlignedData} */
    this.data = [[], ...lines.map(() => [])];
    new ResizeObserver(() => this.#fit()).observe(room);
  }

  /**
   * @param {ArrayLike<number>} times in seconds
   * @param {...ArrayLike<number>} values of each line
   */
  show(times, ...values) {
    this.data = /** @type {uPlot.AlignedData} */ ([times, ...values]);
    if (this.plot === null) this.#make();
    else this.plot.setData(this.data);
  }

  /** Colours are others now. */
  recolour() {
    this.plot?.destroy();
    this.plot = null;
    this.#make();
  }

  /** Shows nothing, until there is something again. */
  clear() {
    this.plot?.destroy();
    this.plot = null;
    this.data = [[], ...this.lines.map(() => [])];
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.room;
    if (width > 0 && height > 0) this.plot?.setSize({ width, height });
  }

  #make() {
    const { clientWidth: width, clientHeight: height } = this.room;
    if (width === 0 || this.data[0].length === 0) return;
    const { palette, options } = this;
    const font = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
    const axis = {
      stroke: palette.colour('faint'),
      grid: { stroke: palette.colour('grid'), width: 1 },
      ticks: { show: false },
      font,
    };
    const values = options.value;
    const ofAxis =
      values === undefined
        ? {}
        : { values: (/** @type {unknown} */ _, /** @type {number[]} */ at) => at.map(values) };
    this.plot = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        padding: [8, 8, 0, 0],
        scales: { y: { range: (_, low, high) => rangeOf(low, high, options.fromZero === true) } },
        axes: [
          { ...axis, space: 80, size: 30, values: timesOf },
          { ...axis, size: widthOf, ...ofAxis },
        ],
        series: [{}, ...this.lines.map((line) => this.#series(line))],
        hooks: { setCursor: [(plot) => options.point?.(plot.cursor.idx ?? null)] },
      },
      this.data,
      this.room,
    );
  }

  /**
   * @param {ChartLine} line
   * @returns {uPlot.Series}
   */
  #series({ label, colour, isStep, isFilled }) {
    const stroke = this.palette.colour(colour);
    const fill = isFilled ? stroke.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.09)') : undefined;
    const paths = isStep ? uPlot.paths.stepped?.({ align: 1 }) : undefined;
    return { label, stroke, width: 1.75, points: { show: false }, ...(fill && { fill }), ...(paths && { paths }) };
  }
}

/**
 * Some room around what is shown; of one value some around that.
 * @param {number} low
 * @param {number} high
 * @param {boolean} fromZero
 * @returns {[number, number]}
 */
function rangeOf(low, high, fromZero) {
  if (low === null || high === null) return [0, 1];
  if (fromZero) return [0, Math.max(high * 1.1, 1)];
  const room = high > low ? (high - low) * 0.08 : Math.max(Math.abs(high) * 0.01, 1e-9);
  return [low - room, high + room];
}

/**
 * The room for the labels of an axis.
 * @param {unknown} _
 * @param {string[] | null} labels
 */
function widthOf(_, labels) {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(44, longest * 7.5 + 18);
}

const SECONDS = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const MINUTES = new Intl.DateTimeFormat('en-GB', { timeStyle: 'short' });

/**
 * The labels of the axis of time: with seconds where steps are shorter than minutes.
 * @param {unknown} _
 * @param {number[]} at
 */
function timesOf(_, at) {
  const format = at.every((time) => time % 60 === 0) ? MINUTES : SECONDS;
  return at.map((time) => format.format(time * 1000));
}
