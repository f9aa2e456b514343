// Numbers as people read them: ages, bytes, counts, rates. Prices are none of these: they are shown as they come.

const COUNT = new Intl.NumberFormat('en');

/** @param {number} number */
export function count(number) {
  return COUNT.format(Math.round(number));
}

/**
 * `1 stock`, `2 stocks`.
 * @param {number} number
 * @param {string} noun
 */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/**
 * A number in few characters: `250`, `20.5 k`, `1.5 M`.
 * @param {number} number
 */
export function short(number) {
  if (number < 10 && !Number.isInteger(number)) return number.toFixed(1);
  if (number < 1e4) return count(number);
  return number < 1e6 ? `${places(number / 1e3)} k` : `${places(number / 1e6)} M`;
}

/** @param {number} number */
function places(number) {
  return number.toFixed(number < 100 ? 1 : 0).replace('.0', '');
}

/** @param {number} bytes */
export function bytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) {
    bytes /= 1024;
    at++;
  }
  return `${at === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[at]}`;
}

/**
 * How long something took: `120 µs`, `1.5 ms`.
 * @param {number} us microseconds
 */
export function latency(us) {
  if (us < 1) return `${Math.round(us * 1000)} ns`;
  if (us < 1e3) return `${us < 10 ? us.toFixed(1) : Math.round(us)} µs`;
  if (us < 1e6) return `${us < 1e5 ? (us / 1e3).toFixed(1) : Math.round(us / 1e3)} ms`;
  return `${(us / 1e6).toFixed(1)} s`;
}

/**
 * How long ago something was: `now`, `12 s`, `3 min`, `5 d`.
 * @param {number} ms milliseconds
 */
export function age(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${count(Math.floor(seconds / 86_400))} d`;
}

/**
 * How long something has lasted: `2 d 3 h`, `4 min 12 s`.
 * @param {number} seconds
 */
export function lasting(seconds) {
  /** @type {[number, string][]} */
  const units = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const at = Math.max(0, units.findIndex(([unit]) => seconds >= unit));
  const parts = [];
  let left = Math.floor(seconds);
  for (const [unit, name] of units.slice(seconds < 1 ? 3 : at).slice(0, 2)) {
    parts.push(`${Math.floor(left / unit)} ${name}`);
    left %= unit;
  }
  return parts.join(' ');
}

/**
 * Milliseconds of a moment as the server writes it; NaN where there is none.
 * @param {string | undefined} text RFC 3339 with nine decimals
 */
export function moment(text) {
  return text === undefined ? NaN : Date.parse(`${text.slice(0, 23)}Z`);
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/**
 * A moment of today on the clock on the wall.
 * @param {number} ms
 */
export function clock(ms) {
  return CLOCK.format(ms);
}
