// Walking over the points of a plot.
import assert from "node:assert/strict";
import test from "node:test";

import { pointReading, steppedPoint, walkablePoints } from "../../../../explorer/viewer/plot/keys.js";

const scatter = (x, y, more = {}) => ({ type: "scatter", visible: true, x, y, ...more });

test("points that can be pointed at, from left to right, then upwards", () => {
  const points = walkablePoints([
    scatter([2, 1], [5, 6]),
    scatter([1], [3], { customdata: ["a"] }),
    scatter([0], [0], { visible: "legendonly" }),
    scatter([0], [0], { hoverinfo: "skip" }),
    { type: "bar", visible: true },
    scatter([3, null], [NaN, 1]),
  ]);
  assert.deepEqual(
    points.map(({ curveNumber, pointNumber }) => [curveNumber, pointNumber]),
    [
      [1, 0],
      [0, 1],
      [0, 0],
    ],
  );
  assert.equal(points[0].customdata, "a");
});

test("arrows lead to the next column at the nearest height, and up and down within one", () => {
  const points = [
    { x: 0, y: 5 },
    { x: 1, y: 0 },
    { x: 1, y: 4 },
    { x: 2, y: 1 },
  ];
  assert.equal(steppedPoint("ArrowRight", points, 0), 2);
  assert.equal(steppedPoint("ArrowLeft", points, 3), 1);
  assert.deepEqual(
    [steppedPoint("ArrowDown", points, 2), steppedPoint("ArrowUp", points, 2), steppedPoint("ArrowRight", points, 3)],
    [1, 2, 3],
  );
  assert.deepEqual(
    [steppedPoint("ArrowLeft", points, -1), steppedPoint("Home", points, 3), steppedPoint("End", points, 0)],
    [0, 0, 3],
  );
  assert.equal(steppedPoint("a", points, 0), null);
});

test("a reading is the hover text without its markup", () => {
  const template = "<b>%{customdata[1]}</b> at %{x:.2f}: %{y}<extra></extra>";
  assert.equal(pointReading(template, { x: 1, y: 0.123456, customdata: ["", "rollout"] }), "rollout at 1: 0.1235");
});
