// Arrow keys over a grid.
import assert from "node:assert/strict";
import test from "node:test";

import { arrowStep, hasModifier } from "../../../../explorer/viewer/kit/scripts/keyboard.js";

test("arrows move by one cell in a grid of 2 x 3", () => {
  const from = (cell) => ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"].map((key) => arrowStep(key, cell, 2, 3));
  assert.deepEqual(from(1), [1, 4, 0, 2]);
  assert.deepEqual(from(5), [2, 5, 4, 5], "edges hold, and no arrow leads into the next line");
});

test("any other key moves nothing", () => {
  for (const key of ["a", "Enter", "Home", "toString", "__proto__"]) assert.equal(arrowStep(key, 1, 2, 3), null);
});

test("keys with a modifier are the browser's; Shift is not one", () => {
  const plain = { ctrlKey: false, metaKey: false, altKey: false, shiftKey: true };
  assert.equal(hasModifier(plain), false);
  for (const key of ["ctrlKey", "metaKey", "altKey"]) assert.equal(hasModifier({ ...plain, [key]: true }), true);
});
