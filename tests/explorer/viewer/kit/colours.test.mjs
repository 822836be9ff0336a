// Colour maps, and the ends that maps are coloured between.
import assert from "node:assert/strict";
import test from "node:test";

import { colourEnds, colourTable, cssColour, fadedTable } from "../../../../explorer/viewer/kit/scripts/colours.js";

test("a colour map begins and ends with its first and last stop", () => {
  const table = colourTable("viridis");
  assert.equal(table.length, 256);
  assert.deepEqual([cssColour(table[0]), cssColour(table[255])], ["#440154", "#fde725"]);
  assert.equal(table[0] >>> 24, 255);
  assert.equal(colourTable("viridis"), table, "the same array, so that a legend knows what it shows");
});

test("grey is even", () => {
  assert.deepEqual(
    [0, 51, 102, 255].map((at) => cssColour(colourTable("grey")[at])),
    ["#000000", "#333333", "#666666", "#ffffff"],
  );
});

test("faded colours let a picture through near zero, which is the middle of a diverging map", () => {
  const alpha = (name, at) => fadedTable(name)[at] >>> 24;
  assert.ok(alpha("viridis", 0) < 40 && alpha("viridis", 255) === 255);
  assert.ok(alpha("diverging", 127) < 50 && alpha("diverging", 0) === 255 && alpha("diverging", 255) === 255);
});

test("no difference is the middle of a diverging map, and not its strongest negative", () => {
  assert.deepEqual(colourEnds(0, 0, colourTable("diverging")), [-1, 1]);
  assert.deepEqual(colourEnds(0, 0, fadedTable("diverging")), [-1, 1]);
  assert.deepEqual(colourEnds(0.2, 0.2, colourTable("viridis")), [0.2, 0.2]);
  assert.deepEqual(colourEnds(-2, 2, colourTable("diverging")), [-2, 2]);
});
