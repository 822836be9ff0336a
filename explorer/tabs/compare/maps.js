// Arithmetic on two maps over patches, each a Float32Array row by row.

/** @typedef {[number, number]} Grid height and width */
/** @typedef {Float32Array} Values */

/**
 * Values of a gh x gw grid at the centres of another grid's cells: bilinear, edges held (align_corners=False).
 * @param {Values} values
 * @param {Grid} from
 * @param {Grid} to
 */
export function resample(values, [gh, gw], [toH, toW]) {
  if (gh === toH && gw === toW) return values;
  const out = new Float32Array(toH * toW);
  /** @type {(index: number, to: number, from: number) => [number, number, number]} */
  const place = (index, to, from) => {
    const at = Math.min(Math.max(((index + 0.5) * from) / to - 0.5, 0), from - 1),
      low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  };
  for (let y = 0, i = 0; y < toH; y++) {
    const [top, bottom, v] = place(y, toH, gh);
    for (let x = 0; x < toW; x++, i++) {
      const [left, right, u] = place(x, toW, gw);
      const above = values[top * gw + left] * (1 - u) + values[top * gw + right] * u;
      const below = values[bottom * gw + left] * (1 - u) + values[bottom * gw + right] * u;
      out[i] = above * (1 - v) + below * v;
    }
  }
  return out;
}

/**
 * Divided by the sum of magnitudes.
 * @param {Values} values
 */
export function toShares(values) {
  const sum = values.reduce((total, value) => total + Math.abs(value), 0);
  return sum > 0 ? values.map((value) => value / sum) : values;
}

/**
 * Pearson's correlation; NaN where one side is constant.
 * @param {Values} a
 * @param {Values} b
 */
export function pearson(a, b) {
  /** @param {Values} values */
  const mean = (values) => values.reduce((total, value) => total + value, 0) / values.length;
  const ma = mean(a),
    mb = mean(b);
  let ab = 0,
    aa = 0,
    bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : NaN;
}

/**
 * Ranks from 0; equal values share the mean of theirs.
 * @param {Values} values
 */
export function ranks(values) {
  const order = Array.from(values.keys()).sort((i, j) => values[i] - values[j]),
    out = new Float32Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end + 1 < order.length && values[order[end + 1]] === values[order[start]]) end++;
    for (let i = start; i <= end; i++) out[order[i]] = (start + end) / 2;
    start = end + 1;
  }
  return out;
}

/**
 * Of the strongest tenth of A's patches, the share that is in the strongest tenth of B's as well.
 * @param {Values} a
 * @param {Values} b
 */
export function overlap(a, b) {
  const count = Math.max(Math.round(a.length / 10), 1);
  /** @param {Values} values */
  const strongest = (values) =>
    Array.from(values.keys())
      .sort((i, j) => values[j] - values[i])
      .slice(0, count);
  const inB = new Set(strongest(b));
  return strongest(a).filter((patch) => inB.has(patch)).length / count;
}

/**
 * The cell of another grid that covers the middle of this one's.
 * @param {number} cell
 * @param {Grid} from
 * @param {Grid} to
 */
export function matchingCell(cell, [gh, gw], [toH, toW]) {
  const row = Math.floor(((Math.floor(cell / gw) + 0.5) / gh) * toH),
    column = Math.floor((((cell % gw) + 0.5) / gw) * toW);
  return row * toW + column;
}

/**
 * The ends of a map's scale: symmetric about zero where it is signed.
 * @param {Values} map
 * @param {boolean} signed
 */
export function mapRange(map, signed) {
  const high = map.reduce((most, value) => Math.max(most, value), -Infinity),
    low = map.reduce((least, value) => Math.min(least, value), Infinity);
  const edge = Math.max(high, -low);
  return signed ? { low: -edge, high: edge, signed } : { low, high, signed };
}

/**
 * The index of the strongest value, whatever its sign.
 * @param {Values} values
 */
export const strongestIndex = (values) =>
  values.reduce((best, value, at) => (Math.abs(value) > Math.abs(values[best]) ? at : best), 0);
