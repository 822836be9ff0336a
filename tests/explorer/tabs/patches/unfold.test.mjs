// Where the patches of a picture are while they unfold.
import assert from "node:assert/strict";
import test from "node:test";

import { CUT, ease, LINED, Unfold } from "../../../../explorer/tabs/patches/unfold.js";

globalThis.window = { devicePixelRatio: 1 };

/** A canvas in a frame of `width`, with a picture of 2 x 3 patches behind a class token. */
function unfolding(width) {
  const canvas = { style: {}, getContext: () => ({}) };
  const unfold = new Unfold({ clientWidth: width, querySelector: () => canvas });
  unfold.show({ image: null, grid: [2, 3], patch: [8, 8], prefix: ["CLS"] });
  return unfold;
}

test("slow at both ends, and held beyond them", () => {
  assert.deepEqual([-1, 0, 0.5, 1, 2].map(ease), [0, 0, 0.5, 1, 1]);
  assert.ok(ease(0.1) < 0.1 && ease(0.9) > 0.9 && CUT < LINED);
});

test("before, patches stand in the grid of the picture without gaps", () => {
  const unfold = unfolding(600),
    [x, y, w, h] = unfold.place(1, 0),
    [next] = unfold.place(2, 0),
    [, below] = unfold.place(4, 0);
  assert.ok(Math.abs(next - (x + w)) < 1e-9 && Math.abs(below - (y + h)) < 1e-9);
});

test("after, tokens stand in the order of the sequence, the class token first", () => {
  const unfold = unfolding(600),
    places = Array.from({ length: unfold.count }, (_, token) => unfold.place(token, 1));
  assert.equal(unfold.count, 7);
  for (let token = 1; token < 7; token++) {
    assert.ok(places[token][0] >= places[token - 1][0] + unfold.tile && places[token][1] === places[0][1]);
  }
});

test("where the frame is narrow the sequence breaks into lines", () => {
  const unfold = unfolding(160);
  assert.ok(unfold.columns < 7);
  assert.ok(unfold.place(unfold.columns, 1)[1] > unfold.place(0, 1)[1]);
});
