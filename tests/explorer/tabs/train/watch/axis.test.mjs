// Marks of an axis.
import assert from "node:assert/strict";
import test from "node:test";

import { decades, shortNumber, ticks } from "../../../../../explorer/tabs/train/watch/axis.js";

test("ticks are round numbers within the ends, and not too many", () => {
  assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(0.13, 0.47, 4), [0.2, 0.3, 0.4]);
  assert.deepEqual(ticks(-3, 3, 3), [-2, 0, 2]);
  assert.deepEqual(ticks(5, 5, 4), [5]);
});

test("a logarithmic axis has 1, 2 and 5, or powers of ten alone where there are many", () => {
  assert.deepEqual(decades(0.04, 3), [0.05, 0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(decades(1e-4, 1), [1e-4, 1e-3, 1e-2, 0.1, 1]);
  assert.deepEqual(decades(1.1, 1.3), [1.1, 1.3]);
});

test("numbers in few characters", () => {
  const said = [
    [0, "0"],
    [0.00012, "1.2e-4"],
    [0.0001, "1e-4"],
    [12500, "12.5k"],
    [2e6, "2M"],
    [0.12345, "0.123"],
    [NaN, "–"],
    [-4, "-4"],
  ];
  for (const [value, text] of said) assert.equal(shortNumber(value), text);
});
