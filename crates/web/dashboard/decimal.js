// Decimals, exact: what the server writes as text is compared and subtracted here without a digit lost.
//
// It owns the arithmetic of the page. Floats come in where a pixel is asked for, and nowhere else.

const FORM = /^-?\d{1,30}(?:\.\d{1,30})?$/;

/**
 * Reads a decimal as the server writes it; null where it is none.
 * @param {string | undefined} text
 * @returns {Decimal | null}
 */
export function parse(text) {
  if (text === undefined || !FORM.test(text)) return null;
  const point = text.indexOf('.');
  if (point < 0) return { coefficient: BigInt(text), scale: 0 };
  const digits = text.slice(0, point) + text.slice(point + 1);
  return { coefficient: BigInt(digits), scale: text.length - point - 1 };
}

/**
 * The first less the second.
 * @param {Decimal} one
 * @param {Decimal} other
 * @returns {Decimal}
 */
export function subtract(one, other) {
  const scale = Math.max(one.scale, other.scale);
  return { coefficient: at(one, scale) - at(other, scale), scale };
}

/**
 * -1, 0 or 1: whether the first is less than the second, equal to it, or more.
 * @param {Decimal} one
 * @param {Decimal} other
 */
export function compare(one, other) {
  return sign(subtract(one, other));
}

/**
 * @param {Decimal} decimal
 * @returns {-1 | 0 | 1}
 */
export function sign({ coefficient }) {
  if (coefficient === 0n) return 0;
  return coefficient < 0n ? -1 : 1;
}

/**
 * As text with all places of its scale, and a sign where it is not zero: `+0.50`, `−1.25`, `0.00`.
 * @param {Decimal} decimal
 */
export function signed(decimal) {
  return ['−', '', '+'][sign(decimal) + 1] + unsigned(decimal);
}

/**
 * As text with all places of its scale, without a sign.
 * @param {Decimal} decimal
 */
function unsigned({ coefficient, scale }) {
  const digits = (coefficient < 0n ? -coefficient : coefficient).toString().padStart(scale + 1, '0');
  const point = digits.length - scale;
  return scale === 0 ? digits : `${digits.slice(0, point)}.${digits.slice(point)}`;
}

/**
 * A change as a percentage of what it changed, with two places, half away from zero; null of nothing.
 * @param {Decimal} change
 * @param {Decimal} base
 */
export function percent(change, base) {
  if (base.coefficient === 0n) return null;
  const scale = Math.max(change.scale, base.scale);
  const divisor = at(base, scale) < 0n ? -at(base, scale) : at(base, scale);
  const dividend = at(change, scale) * 10000n;
  const half = dividend < 0n ? -(divisor / 2n) : divisor / 2n;
  return `${signed({ coefficient: (dividend + half) / divisor, scale: 2 })} %`;
}

/**
 * The coefficient with this many digits behind the point.
 * @param {Decimal} decimal
 * @param {number} scale at least its own
 */
function at(decimal, scale) {
  return decimal.coefficient * 10n ** BigInt(scale - decimal.scale);
}
