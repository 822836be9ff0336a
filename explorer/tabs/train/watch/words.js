// Numbers of a run as people read them.
import { localise } from "../../../viewer/kit/scripts/words.js";

/** @typedef {import("../../../viewer/kit/scripts/words.js").Translate} Translate */

/**
 * What the worker does besides training; "" while it trains.
 * @param {{phase?: string, note?: import("../../../viewer/kit/scripts/words.js").Caption}} progress
 * @param {Translate} t
 * @param {import("../../../viewer/kit/scripts/words.js").Language} lang
 */
export function describePhase({ phase = "", note }, t, lang) {
  const text = localise(note, lang);
  const known = ["loading", "evaluating", "testing", "saving"].includes(phase) ? t(`phase_${phase}`) : "";
  return known && text ? `${known}: ${text}` : phase === "loading" ? known : text || "";
}

/**
 * How much of the run is behind us, 0 to 1: by steps, else by time.
 * @param {{step?: number, steps?: number | null, seconds?: number, seconds_left?: number | null}} progress
 */
export function progressShare({ step = NaN, steps, seconds = NaN, seconds_left: left }) {
  if (steps && steps > 0) return Math.min(1, step / steps);
  return left != null && seconds >= 0 && left >= 0 && seconds + left > 0 ? seconds / (seconds + left) : 0;
}

/**
 * "5 of 80", "5", or a dash.
 * @param {unknown} value
 * @param {unknown} all
 * @param {Translate} t
 */
export const formatOf = (value, all, t) =>
  Number.isFinite(Number(value)) ? (all ? t("of", { value, all }) : String(value)) : "–";

/** @param {number} value rounded to two decimals, or one from 10 on; NaN where it is no number */
export const roundEpoch = (value) => (Number.isFinite(value) ? Number(value.toFixed(value < 10 ? 2 : 1)) : NaN);

/** @param {number} value with three digits that count, or a dash */
export const formatRate = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–");

/** @param {number} value bytes as GiB or MiB, or a dash */
export const formatBytes = (value) =>
  value > 0 ? (value >= 2 ** 30 ? `${formatRate(value / 2 ** 30)} GiB` : `${formatRate(value / 2 ** 20)} MiB`) : "–";

/**
 * "128 = 4 × 32" where a step accumulates four parts.
 * @param {number | undefined} size
 * @param {number | undefined} parts
 */
export const formatBatch = (size, parts = 1) =>
  !size ? "–" : parts > 1 ? `${size} = ${parts} × ${size / parts}` : String(size);
