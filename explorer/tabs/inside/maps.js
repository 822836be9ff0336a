// What each map of the inside view draws.

export const MAPS = ["attention", "similarity", "classes", "certainty", "colours", "norms", "entropy"];
const PALETTE = "4477aa ee6677 228833 ccbb44 66ccee aa3377 ee7733 009988 cc3311 997700 6699cc 882255".split(" ");
export const OTHER = "9a9a9a"; // classes beyond the palette
const packed = (hex, alpha = 255) => {
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
};

/** The numbers that have one value a token, as inside.py wrote them. */
export class Numbers {
  constructor(buffer, value) {
    const [gh, gw] = value.grid;
    Object.assign(this, { value, states: value.layers, patches: gh * gw, prefix: value.prefix.length });
    this.tokens = this.prefix + this.patches;
    const { states, tokens, patches } = this,
      all = states * tokens,
      sizes = [all, all - tokens, all, 3 * states * patches, 3 * states * patches];
    const floats = sizes.reduce((sum, size) => sum + size, 0),
      expected = 4 * floats + 3 * all;
    if (buffer.byteLength !== expected) throw new Error(`expected ${expected} bytes, got ${buffer.byteLength}`);
    let at = 0;
    [this.norms, this.entropy, this.certainty, this.joint, this.own] = sizes.map((size) => {
      const part = new Float32Array(buffer, at, size);
      at += 4 * size;
      return part;
    });
    this.classes = new Uint16Array(buffer, at, all);
    this.marked = new Uint8Array(buffer, at + 2 * all, all);
    this.colourOf = this.paletteByFrequency();
    this.jointRange = this.rangeOf(this.joint, 0, states);
  }

  /** The [N] values of one state; null where that state has none (entropy after the last layer). */
  of(name, state) {
    const start = state * this.tokens;
    return start < this[name].length ? this[name].subarray(start, start + this.tokens) : null;
  }

  /**
   * class -> colour, the same in every state: first the classes that most patches are read as, then those of the
   * table.
   */
  paletteByFrequency() {
    const counts = new Map();
    for (let state = 0; state < this.states; state++) {
      for (const index of this.of("classes", state).subarray(this.prefix))
        counts.set(index, (counts.get(index) ?? 0) + 1);
    }
    const frequent = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([index]) => index);
    const ranked = [...new Set([...frequent, ...(this.value.lens?.top ?? []).flat().map(([index]) => index)])];
    return new Map(ranked.slice(0, PALETTE.length).map((index, rank) => [index, PALETTE[rank]]));
  }

  colour(index) {
    return this.colourOf.get(index) ?? OTHER;
  }

  /** [[class, patches of this state], ...], the most frequent first. */
  present(state) {
    const counts = new Map();
    for (const index of this.of("classes", state).subarray(this.prefix))
      counts.set(index, (counts.get(index) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  }

  /** Lowest and highest score along each component, over the states [from, to). */
  rangeOf(scores, from, to) {
    const low = [Infinity, Infinity, Infinity],
      high = [-Infinity, -Infinity, -Infinity];
    for (let at = 3 * from * this.patches; at < 3 * to * this.patches; at++) {
      const c = at % 3;
      if (scores[at] < low[c]) low[c] = scores[at];
      if (scores[at] > high[c]) high[c] = scores[at];
    }
    return { low, high };
  }

  /**
   * Components as pixels: the first is red, the second green, the third blue, each from its lowest score to its
   * highest.
   */
  componentPixels(state, joint, out) {
    const scores = joint ? this.joint : this.own,
      { low, high } = joint ? this.jointRange : this.rangeOf(scores, state, state + 1);
    for (let n = 0, at = 3 * state * this.patches; n < this.patches; n++, at += 3) {
      let pixel = 255 << 24;
      for (let c = 0; c < 3; c++) {
        const share = high[c] > low[c] ? (scores[at + c] - low[c]) / (high[c] - low[c]) : 0.5;
        pixel |= Math.round(255 * share) << (8 * c);
      }
      out[n] = pixel >>> 0;
    }
    return out;
  }

  /** Predicted classes as pixels, the less certain the paler. */
  classPixels(state, out) {
    const classes = this.of("classes", state),
      certainty = this.of("certainty", state);
    for (let n = 0; n < this.patches; n++) {
      out[n] = packed(
        this.colour(classes[this.prefix + n]),
        Math.round(255 * (0.2 + 0.8 * certainty[this.prefix + n])),
      );
    }
    return out;
  }
}

/** Attention without the marked tokens, the rest made to sum to what all did. */
export function withoutMarked(row, marked) {
  let all = 0,
    left = 0;
  for (let i = 0; i < row.length; i++) {
    all += row[i];
    if (!marked[i]) left += row[i];
  }
  return row.map((entry, i) => (marked[i] || !left ? 0 : (entry * all) / left));
}

/** Lowest and highest patch of a row. */
export function extentOf(row, prefix) {
  let low = Infinity,
    high = -Infinity;
  for (let i = prefix; i < row.length; i++) {
    if (row[i] < low) low = row[i];
    if (row[i] > high) high = row[i];
  }
  return { low, high };
}
