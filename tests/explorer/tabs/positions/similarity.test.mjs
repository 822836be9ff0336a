// Similarity of position embeddings, by hand.
import assert from "node:assert/strict";
import test from "node:test";

import { cosines, extent, tileQuery, unpackEmbeddings } from "../../../../explorer/tabs/positions/similarity.js";

/** Two embeddings of three numbers as the server packs them: float32 scales, then int16 codes. */
function packed() {
  const buffer = new ArrayBuffer(4 * 2 + 2 * 2 * 3);
  new Float32Array(buffer, 0, 2).set([0.5, 2]);
  new Int16Array(buffer, 8).set([3, 4, 0, 0, 0, 1]);
  return buffer;
}

test("unit vectors and lengths", () => {
  const { unit, norms } = unpackEmbeddings(packed(), 2, 3);
  assert.deepEqual([...norms], [2.5, 2]);
  assert.deepEqual([...unit], [...Float32Array.of(0.6, 0.8, 0, 0, 0, 1)]);
  assert.throws(() => unpackEmbeddings(packed(), 2, 4), { message: "20 != 24 B" });
});

test("an embedding of zeros has no direction, and no NaN", () => {
  const { unit } = unpackEmbeddings(new ArrayBuffer(4 + 4), 1, 2);
  assert.deepEqual([...unit], [0, 0]);
});

test("cosines, also of an odd width", () => {
  const out = new Float32Array(3),
    { unit } = unpackEmbeddings(packed(), 2, 3);
  cosines({ unit, count: 2, width: 3 }, 0, out, 1);
  assert.ok(Math.abs(out[1] - 1) < 1e-6 && out[2] === 0 && out[0] === 0);
});

test("a tile stands for the middle of its positions, and none lies beyond the edge", () => {
  assert.equal(tileQuery({ step: 1, gh: 3, gw: 4 }, 2, 3), 11);
  assert.equal(tileQuery({ step: 3, gh: 4, gw: 4 }, 1, 1), 15);
  assert.deepEqual(extent([3, -1, 2]), [-1, 3]);
});
