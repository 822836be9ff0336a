// Numbers as people read them.
import assert from "node:assert/strict";
import test from "node:test";

import {
  formatDuration,
  formatEnds,
  formatNumber,
  isIndex,
  nearestIndex,
} from "../../../../explorer/viewer/kit/scripts/numbers.js";

test("a share as per cent, with more digits where it is small", () => {
  const said = [
    [0.061, "6.1%"],
    [1, "100.0%"],
    [0.0061, "0.61%"],
    [0.00061, "0.061%"],
    [0, "0.0%"],
    [-0.5, "-50.0%"],
  ];
  for (const [value, text] of said) assert.equal(formatNumber(value, "percent"), text);
});

test("a plain number", () => {
  for (const [value, text] of [
    [0.4821, "0.482"],
    [0, "0.000"],
    [0.0001, "1.0e-4"],
    [-3, "-3.000"],
  ])
    assert.equal(formatNumber(value), text);
});

for (const [low, high, unit, ends] of [
  [0.01, 0.0104, "percent", ["1.000%", "1.040%"]],
  [0.0099, 0.0101, "percent", ["0.990%", "1.010%"]],
  [0.006897, 0.006899, "percent", ["0.68970%", "0.68990%"]],
  [0.00002, 0.139, "percent", ["0.0%", "13.9%"]],
  [-0.49, 0.49, "percent", ["-49.0%", "49.0%"]],
  [-3.6e-5, 3.6e-5, "percent", ["-0.0036%", "0.0036%"]],
  [1e-15, 3e-15, "percent", ["1.0e-13%", "3.0e-13%"]],
  [0.1, 0.1, "percent", ["10.0%", "10.0%"]],
  [0, 0, "percent", ["0.0%", "0.0%"]],
  [0.5, 0.75, "number", ["0.500", "0.750"]],
  [0.5, 0.5004, "number", ["0.50000", "0.50040"]],
]) {
  test(`the ends of a scale have equal digits and differ where the map does: ${low} to ${high}, ${unit}`, () => {
    assert.deepEqual(formatEnds(low, high, unit), ends);
  });
}

test("a duration, as short as it may be", () => {
  const t = (key, values) => `${key} ${Object.values(values).join(" ")}`;
  for (const [seconds, text] of [
    [0, "seconds 0"],
    [59.4, "seconds 59"],
    [59.6, "minutes 1 0"],
    [75, "minutes 1 15"],
    [4325, "hours 1 12"],
  ]) {
    assert.equal(formatDuration(seconds, t), text);
  }
  assert.deepEqual([formatDuration(null, t), formatDuration(NaN, t)], ["–", "–"]);
});

test("an index is a whole number below the limit; any number has a nearest one", () => {
  assert.deepEqual(
    [0, 4, 5, -1, 1.5, "1", null, undefined].map((number) => isIndex(number, 5)),
    [true, true, false, false, false, false, false, false],
  );
  assert.deepEqual(
    [-3, 2, 9].map((number) => nearestIndex(number, 5)),
    [0, 2, 4],
  );
});
