// The curve of one split as the browser keeps it. Nothing of the page in here.

export const MOST_POINTS = 20000;
const PLACES = new Set(["step", "epoch", "seconds"]);

/**
 * Rows in the order of steps, as columns of numbers. A row takes the place of those at the same and at later steps,
 * since after a resume from an earlier checkpoint steps are measured again (metrics.fold does the same). Beyond
 * MOST_POINTS neighbours are merged in pairs, again and again, so that memory does not grow: each point is then the
 * mean of `stride` rows, at the step of the last.
 */
export class Series {
  constructor() {
    /** @type {Record<string, number[]>} */
    this.columns = { step: [], epoch: [], seconds: [] };
    /** @type {number[]} rows in each point */
    this.weights = [];
    this.stride = 1;
  }

  get length() {
    return this.weights.length;
  }

  /**
   * Add {step, epoch, seconds, ...values}; a value that is not finite is NaN and makes a gap.
   * @param {Record<string, number>} row
   */
  add(row) {
    while (this.length && this.columns.step[this.length - 1] >= row.step) this.#drop();
    for (const name of Object.keys(row)) this.columns[name] ??= new Array(this.length).fill(NaN);
    const last = this.length - 1,
      merged = last >= 0 && this.weights[last] < this.stride;
    for (const [name, column] of Object.entries(this.columns)) {
      const value = row[name] ?? NaN;
      if (!merged) column.push(value);
      else if (PLACES.has(name)) column[last] = value;
      else column[last] += (value - column[last]) / (this.weights[last] + 1);
    }
    if (merged) this.weights[last] += 1;
    else this.weights.push(1);
    if (this.length > MOST_POINTS) this.#halve();
  }

  /**
   * The latest finite value of a column, or NaN.
   * @param {string} name
   */
  last(name) {
    const column = this.columns[name] ?? [];
    for (let i = column.length - 1; i >= 0; i--) if (Number.isFinite(column[i])) return column[i];
    return NaN;
  }

  /**
   * Exponential moving average without the bias towards its start: mean of all rows so far, each `keep` times the
   * weight
   * of the next.
   * @param {string} name
   * @param {number} keep
   * @returns {number[]}
   */
  smoothed(name, keep) {
    const column = this.columns[name] ?? [],
      out = new Array(column.length);
    let sum = 0,
      norm = 0;
    for (let i = 0; i < column.length; i++) {
      const kept = keep ** this.weights[i];
      if (Number.isFinite(column[i])) {
        sum = kept * sum + (1 - kept) * column[i];
        norm = kept * norm + (1 - kept);
      }
      out[i] = Number.isFinite(column[i]) ? sum / norm : NaN;
    }
    return out;
  }

  #drop() {
    for (const column of Object.values(this.columns)) column.pop();
    this.weights.pop();
  }

  #halve() {
    const weights = this.weights,
      half = weights.length >> 1,
      odd = weights.length % 2;
    for (const [name, column] of Object.entries(this.columns)) {
      for (let i = 0; i < half; i++) {
        const a = 2 * i,
          b = a + 1;
        column[i] = PLACES.has(name)
          ? column[b]
          : (column[a] * weights[a] + column[b] * weights[b]) / (weights[a] + weights[b]);
      }
      if (odd) column[half] = column[column.length - 1];
      column.length = half + odd;
    }
    for (let i = 0; i < half; i++) weights[i] = weights[2 * i] + weights[2 * i + 1];
    if (odd) weights[half] = weights[weights.length - 1];
    weights.length = half + odd;
    this.stride *= 2;
  }
}
/**
 * Index of the number nearest to `x` in an ascending list; -1 where it is empty.
 * @param {number[]} list
 * @param {number} x
 */
export function nearest(list, x) {
  let low = 0,
    high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - list[low - 1] < list[low] - x ? low - 1 : high < 0 ? -1 : low;
}
