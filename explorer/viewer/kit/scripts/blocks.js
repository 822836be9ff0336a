// The numbers that pack.py wrote: codes of one byte, scaled by a maximum for each row.

/** @typedef {{rows: number, tokens: number, maxima: Float32Array, codes: Uint8Array}} Block */

const SQUARES = Float32Array.from({ length: 256 }, (_, code) => (code / 255) ** 2);

/**
 * Read [panels, rows, tokens] codes after their [panels, rows] float32 maxima. Throws where the length is another.
 * @param {ArrayBuffer} buffer
 * @param {number} panels
 * @param {number} rows
 * @param {number} tokens
 * @returns {Block}
 */
export function readBlock(buffer, panels, rows, tokens) {
  const head = 4 * panels * rows,
    count = panels * rows * tokens,
    expected = head + count + 1;
  if (buffer.byteLength !== expected) throw new Error(`expected ${expected} bytes, got ${buffer.byteLength}`);
  const codes = new Uint8Array(buffer, head, count);
  addDifferences(codes, rows, tokens, new Uint8Array(buffer, head + count)[0]);
  return { rows, tokens, maxima: new Float32Array(buffer, 0, panels * rows), codes };
}

/**
 * Codes from their differences, in place: to the row above (prediction 1), and to the left before that (2).
 * @param {Uint8Array} codes
 * @param {number} rows
 * @param {number} tokens
 * @param {number} prediction
 */
function addDifferences(codes, rows, tokens, prediction) {
  if (prediction === 0) return;
  for (let start = 0; start < codes.length; start += tokens) {
    if (prediction === 2) for (let at = start + 1; at < start + tokens; at++) codes[at] += codes[at - 1];
    if (start % (rows * tokens)) for (let at = start; at < start + tokens; at++) codes[at] += codes[at - tokens];
  }
}

/**
 * Read one panel's row `query` (direction "to") or column `query` ("by") into `out`, an array of `tokens`.
 * @param {Block} block
 * @param {number} panel
 * @param {boolean} signed
 * @param {number} query
 * @param {string} direction
 * @param {Float32Array} out
 */
export function readRow(block, panel, signed, query, direction, out) {
  const { rows, tokens, maxima, codes } = block,
    first = panel * rows;
  if (direction === "to" || rows === 1) {
    // a block of one row holds what was asked for, whatever the direction
    const row = first + (rows === 1 ? 0 : query),
      scale = maxima[row],
      start = row * tokens;
    if (signed) for (let i = 0; i < tokens; i++) out[i] = (((codes[start + i] << 24) >> 24) * scale) / 127;
    else for (let i = 0; i < tokens; i++) out[i] = SQUARES[codes[start + i]] * scale;
  } else {
    for (let i = 0, at = first * tokens + query; i < tokens; i++, at += tokens) {
      out[i] = (signed ? ((codes[at] << 24) >> 24) / 127 : SQUARES[codes[at]]) * maxima[first + i];
    }
  }
  return out;
}
