// What this page has seen of prices, in arrays of a fixed size: a rolling window for small plots, and the latest
// changes of a stock for a large one.
//
// It owns the memory of plots. Invariant: nothing here grows after it was made. Values are floats, since they become
// pixels; texts are kept beside them where they are read out.

/** Buckets of a small plot. */
export const WINDOW_BUCKETS = 80;

/** How long a bucket is, in milliseconds: two minutes in all. */
export const BUCKET_MS = 1500;

/**
 * The bucket of a moment.
 * @param {number} now in milliseconds
 */
export function bucketOf(now) {
  return Math.floor(now / BUCKET_MS);
}

/** The last value of each bucket of the last two minutes. A bucket without one has that of the bucket before. */
export class Window {
  constructor() {
    this.values = new Float64Array(WINDOW_BUCKETS).fill(NaN);
    this.latest = -1;
  }

  /**
   * @param {number} bucket
   * @param {number} value
   */
  note(bucket, value) {
    this.#advance(bucket);
    this.values[this.latest % WINDOW_BUCKETS] = value;
  }

  /**
   * Writes the values up to this bucket, oldest first, and returns how many there are.
   * @param {number} bucket
   * @param {Float64Array} out
   */
  copy(bucket, out) {
    if (this.latest < 0) return 0;
    this.#advance(bucket);
    let count = 0;
    for (let at = this.latest - WINDOW_BUCKETS + 1; at <= this.latest; at++) {
      const value = at < 0 ? NaN : this.values[at % WINDOW_BUCKETS];
      if (!Number.isNaN(value)) out[count++] = value;
    }
    return count;
  }

  /** @param {number} bucket */
  #advance(bucket) {
    if (this.latest < 0 || bucket - this.latest >= WINDOW_BUCKETS) {
      const held = this.latest < 0 ? NaN : this.values[this.latest % WINDOW_BUCKETS];
      this.values.fill(held);
      this.latest = Math.max(this.latest, bucket);
      return;
    }
    while (this.latest < bucket) {
      const held = this.values[this.latest % WINDOW_BUCKETS];
      this.values[++this.latest % WINDOW_BUCKETS] = held;
    }
  }
}

/** Changes that the page of a stock shows, at most. */
export const CHANGES_MAX = 8192;

/** The latest changes of one price, oldest first. */
export class Changes {
  constructor() {
    this.times = new Float64Array(CHANGES_MAX);
    this.values = new Float64Array(CHANGES_MAX);
    /** @type {string[]} */
    this.texts = new Array(CHANGES_MAX).fill('');
    this.length = 0;
    this.next = 0;
    /** Changes there ever were. */
    this.seen = 0;
  }

  /**
   * @param {number} time in milliseconds
   * @param {string} text
   */
  note(time, text) {
    this.times[this.next] = time;
    this.values[this.next] = Number(text);
    this.texts[this.next] = text;
    this.next = (this.next + 1) % CHANGES_MAX;
    this.length = Math.min(this.length + 1, CHANGES_MAX);
    this.seen++;
  }

  /**
   * The text of a change, counted from the oldest.
   * @param {number} index
   */
  text(index) {
    return this.texts[(this.next - this.length + index + CHANGES_MAX) % CHANGES_MAX];
  }

  /**
   * Writes times in seconds and values, oldest first, and one of now, so that the last step reaches it.
   * @param {number} now in milliseconds
   * @param {Float64Array} times of one more than there may be
   * @param {Float64Array} values the same
   */
  copy(now, times, values) {
    for (let index = 0; index < this.length; index++) {
      const from = (this.next - this.length + index + CHANGES_MAX) % CHANGES_MAX;
      times[index] = this.times[from] / 1000;
      values[index] = this.values[from];
    }
    if (this.length === 0) return 0;
    times[this.length] = Math.max(now / 1000, times[this.length - 1]);
    values[this.length] = values[this.length - 1];
    return this.length + 1;
  }
}
