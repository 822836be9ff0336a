// Where a value lies on a legend.
import assert from "node:assert/strict";
import test from "node:test";

import { colourTable } from "../../../../explorer/viewer/kit/scripts/colours.js";
import { legendShare } from "../../../../explorer/viewer/kit/scripts/legend.js";

test("a value between the ends, and beyond them", () => {
  const table = colourTable("viridis");
  assert.deepEqual(
    [1, 2, 3, 0, 9].map((value) => legendShare(value, 1, 3, table)),
    [0, 0.5, 1, 0, 1],
  );
});

test("on a flat map the mark stands at the low end, or in the middle of a diverging one", () => {
  assert.equal(legendShare(0.2, 0.2, 0.2, colourTable("viridis")), 0);
  assert.equal(legendShare(0, 0, 0, colourTable("diverging")), 0.5);
});
