// What the maps of the inside view draw.
import assert from "node:assert/strict";
import test from "node:test";

import { extentOf, MAPS, Numbers, OTHER, withoutMarked } from "../../../../explorer/tabs/inside/maps.js";

/** Two states of a class token and two patches. */
function numbers() {
  const [states, tokens, patches] = [2, 3, 2],
    all = states * tokens,
    components = 3 * states * patches;
  const floats = [
    [1, 2, 3, 4, 5, 6],
    [0.1, 0.2, 0.3],
    [1, 0.5, 0, 1, 1, 1],
    Array.from({ length: components }, (_, at) => at),
    new Array(components).fill(7),
  ].flat();
  const buffer = new ArrayBuffer(4 * floats.length + 3 * all);
  new Float32Array(buffer, 0, floats.length).set(floats);
  new Uint16Array(buffer, 4 * floats.length, all).set([9, 4, 4, 9, 4, 5]);
  new Uint8Array(buffer, 4 * floats.length + 2 * all, all).set([0, 1, 0, 0, 0, 0]);
  return new Numbers(buffer, { grid: [1, 2], prefix: ["CLS"], layers: states, lens: { top: [[[8, 0.9]]] } });
}

test("the numbers of one state; entropy has none after the last layer", () => {
  const found = numbers();
  assert.deepEqual([...found.of("norms", 1)], [4, 5, 6]);
  assert.equal(found.of("entropy", 1), null);
  assert.deepEqual([...found.of("marked", 0)], [0, 1, 0]);
  for (const map of MAPS) if (found[map]) assert.ok(found.of(map, 0));
});

test("a class has one colour in every state: the most frequent first, then those of the table", () => {
  const found = numbers();
  assert.deepEqual([...found.colourOf.keys()], [4, 5, 8]);
  assert.equal(found.colour(77), OTHER);
  assert.deepEqual(found.present(0), [[4, 2]]);
});

test("the less certain a class, the paler its patch", () => {
  const [certain, unsure] = [...numbers().classPixels(0, new Uint32Array(2))].map((pixel) => pixel >>> 24);
  assert.deepEqual([certain, unsure], [Math.round(255 * 0.6), Math.round(255 * 0.2)]);
});

test("components from their lowest to their highest score; one that does not vary is in the middle", () => {
  const joint = [...numbers().componentPixels(1, true, new Uint32Array(2))].map((pixel) => pixel & 255);
  assert.deepEqual(joint, [170, 255]);
  assert.deepEqual(
    [...numbers().componentPixels(0, false, new Uint32Array(2))].map((pixel) => pixel & 255),
    [128, 128],
  );
});

test("bytes that are too few name both numbers", () => {
  assert.throws(
    () => new Numbers(new ArrayBuffer(8), { grid: [1, 2], prefix: [], layers: 1 }),
    /expected \d+ bytes, got 8/,
  );
});

test("attention without the marked tokens keeps its sum", () => {
  const row = withoutMarked(Float32Array.of(0.5, 0.25, 0.25), [1, 0, 0]);
  assert.deepEqual([...row], [0, 0.5, 0.5]);
  assert.deepEqual([...withoutMarked(Float32Array.of(1, 0), [1, 0])], [0, 0]);
  assert.deepEqual(extentOf(Float32Array.of(9, 2, 1), 1), { low: 1, high: 2 });
});
