// Arithmetic on two maps, by hand.
import assert from "node:assert/strict";
import test from "node:test";

import {
  mapRange,
  matchingCell,
  overlap,
  pearson,
  ranks,
  resample,
  strongestIndex,
  toShares,
} from "../../../../explorer/tabs/compare/maps.js";

const map = (...values) => Float32Array.from(values);

test("a map on another grid: bilinear between cell centres, edges held", () => {
  assert.equal(resample(map(1, 2), [1, 2], [1, 2]).join(), "1,2");
  assert.equal(resample(map(0, 4), [1, 2], [1, 4]).join(), "0,1,3,4");
  assert.equal(resample(map(0, 4, 8, 12), [2, 2], [1, 1]).join(), "6");
});

test("shares sum to one in magnitude, and zeros stay", () => {
  assert.equal(toShares(map(1, -3)).join(), "0.25,-0.75");
  assert.equal(toShares(map(0, 0)).join(), "0,0");
});

test("correlation of values and of ranks", () => {
  assert.ok(Math.abs(pearson(map(1, 2, 3), map(2, 4, 6)) - 1) < 1e-9);
  assert.ok(Math.abs(pearson(map(1, 2, 3), map(3, 2, 1)) + 1) < 1e-9);
  assert.ok(Number.isNaN(pearson(map(1, 1), map(1, 2))));
  assert.equal(ranks(map(10, 30, 20, 20)).join(), "0,3,1.5,1.5");
});

test("of the strongest tenth, the share in common", () => {
  const rising = Float32Array.from({ length: 20 }, (_, at) => at),
    other = rising.slice();
  other[0] = 99;
  assert.deepEqual([overlap(rising, rising), overlap(rising, other)], [1, 0.5]);
});

test("the cell of another grid that covers the middle of this one's", () => {
  assert.deepEqual(
    [0, 3].map((cell) => matchingCell(cell, [2, 2], [4, 4])),
    [5, 15],
  );
  assert.deepEqual(
    [0, 5, 15].map((cell) => matchingCell(cell, [4, 4], [2, 2])),
    [0, 0, 3],
  );
});

test("the ends of a scale, and the strongest patch", () => {
  assert.deepEqual(mapRange(map(-3, 1), true), { low: -3, high: 3, signed: true });
  assert.deepEqual(mapRange(map(0.5, 1), false), { low: 0.5, high: 1, signed: false });
  assert.equal(strongestIndex(map(1, -3, 2)), 1);
});
