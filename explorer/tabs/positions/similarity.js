// Similarity of position embeddings: read from the server's bytes, and compared.

/** @typedef {{unit: Float32Array, count: number, width: number}} Embeddings unit vectors [count, width] */

/**
 * What pack_embeddings wrote: unit vectors [count, width] and their lengths. Throws where the bytes are too few or
 * many.
 * @param {ArrayBuffer} buffer
 * @param {number} count
 * @param {number} width
 */
export function unpackEmbeddings(buffer, count, width) {
  const expected = 4 * count + 2 * count * width;
  if (buffer.byteLength !== expected) throw new Error(`${buffer.byteLength} != ${expected} B`);
  const scales = new Float32Array(buffer, 0, count),
    codes = new Int16Array(buffer, 4 * count);
  const unit = new Float32Array(count * width),
    norms = new Float32Array(count);
  for (let n = 0, start = 0; n < count; n++, start += width) {
    let squares = 0;
    for (let d = 0; d < width; d++) squares += codes[start + d] ** 2;
    const length = Math.sqrt(squares);
    norms[n] = length * scales[n];
    for (let d = 0; d < width; d++) unit[start + d] = length ? codes[start + d] / length : 0;
  }
  return { unit, norms };
}

/**
 * Cosines of position `query` with every position, into out[offset ...].
 * @param {Embeddings} embeddings
 * @param {number} query
 * @param {Float32Array} out
 */
export function cosines({ unit, count, width }, query, out, offset = 0) {
  const row = unit.subarray(query * width, (query + 1) * width);
  for (let n = 0, start = 0; n < count; n++, start += width) {
    let a = 0,
      b = 0,
      d = 0;
    for (; d < width - 1; d += 2) {
      a += row[d] * unit[start + d];
      b += row[d + 1] * unit[start + d + 1];
    }
    out[offset + n] = d < width ? a + b + row[d] * unit[start + d] : a + b;
  }
}

/**
 * Lowest and highest value.
 * @param {Iterable<number>} row
 * @returns {[number, number]}
 */
export function extent(row) {
  let low = Infinity,
    high = -Infinity;
  for (const value of row) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * The position whose map is drawn in tile (r, c), where a tile stands for `step` x `step` positions.
 * @param {{step: number, gh: number, gw: number}} panel
 * @param {number} r
 * @param {number} c
 */
export function tileQuery({ step, gh, gw }, r, c) {
  const half = step >> 1;
  return Math.min(r * step + half, gh - 1) * gw + Math.min(c * step + half, gw - 1);
}
