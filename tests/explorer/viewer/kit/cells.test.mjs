// Cells of a grid under a pointer.
import assert from "node:assert/strict";
import test from "node:test";

import { cellAt, placeOf } from "../../../../explorer/viewer/kit/scripts/cells.js";
import { interpolationSteps } from "../../../../explorer/viewer/kit/scripts/heatmap.js";

const box = { getBoundingClientRect: () => ({ left: 10, top: 20, width: 30, height: 20 }) };

test("the cell under a pointer, row by row, and none outside", () => {
  const at = (clientX, clientY) => cellAt({ clientX, clientY }, box, 2, 3);
  assert.deepEqual([at(10, 20), at(39.9, 20), at(10, 39.9), at(25, 35)], [0, 2, 3, 4]);
  assert.deepEqual([at(9.9, 25), at(40, 25), at(15, 19.9), at(15, 40)], [-1, -1, -1, -1]);
});

test("row and column of a cell count from 0", () => assert.deepEqual(placeOf(7, 3), { index: 7, row: 2, column: 1 }));

test("samples between cells hold at the edges", () => {
  const { low, high, part } = interpolationSteps(2, 2);
  assert.deepEqual(
    [[...low], [...high], [...part]],
    [
      [0, 0, 0, 1],
      [1, 1, 1, 1],
      [0, 0.25, 0.75, 0],
    ],
  );
});
