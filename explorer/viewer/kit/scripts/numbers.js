// Numbers as people read them.

/** @typedef {import("./words.js").Translate} Translate */

/**
 * "6.1%" of 0.061, or "0.482".
 * @param {number} value
 * @param {string} [unit] "percent", or a plain number
 */
export function formatNumber(value, unit) {
  if (unit !== "percent") return Math.abs(value) >= 0.0005 || value === 0 ? value.toFixed(3) : value.toExponential(1);
  const percent = 100 * value,
    size = Math.abs(percent);
  return `${percent.toFixed(size >= 1 || size === 0 ? 1 : size >= 0.1 ? 2 : 3)}%`;
}

/**
 * The two ends of a scale: as many digits on both sides as it takes to tell them apart.
 * @param {number} low
 * @param {number} high
 * @param {string} [unit]
 * @returns {[string, string]}
 */
export function formatEnds(low, high, unit) {
  const percent = unit === "percent",
    factor = percent ? 100 : 1,
    apart = factor * (high - low);
  if (!(apart > 0)) return [formatNumber(low, unit), formatNumber(high, unit)];
  const digits = Math.max(percent ? 1 : 3, 1 - Math.floor(Math.log10(apart)));
  /** @param {number} value */
  const text = (value) =>
    (digits > 9 ? (factor * value).toExponential(1) : (factor * value).toFixed(digits)) + (percent ? "%" : "");
  return [text(low), text(high)];
}

/**
 * 4325 -> "1 h 12 min"; a dash for what is no number. The texts are `t`'s "hours" {h, m}, "minutes" {m, s} and
 * "seconds" {s}.
 * @param {number | null} seconds
 * @param {Translate} t
 */
export function formatDuration(seconds, t) {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds),
    h = Math.floor(whole / 3600),
    m = Math.floor(whole / 60) % 60,
    s = whole % 60;
  return h ? t("hours", { h, m }) : m ? t("minutes", { m, s }) : t("seconds", { s });
}

/**
 * Whether a number is an index below `limit`.
 * @param {unknown} number
 * @param {number} limit
 */
export const isIndex = (number, limit) =>
  typeof number === "number" && Number.isInteger(number) && number >= 0 && number < limit;

/**
 * The index below `limit` that is nearest to a number.
 * @param {number} number
 * @param {number} limit
 */
export const nearestIndex = (number, limit) => Math.min(Math.max(number, 0), limit - 1);
