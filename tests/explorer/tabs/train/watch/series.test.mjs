// The curve of one split as the browser keeps it: in order, thinned out, and smoothed.
import assert from "node:assert/strict";
import test from "node:test";

import { MOST_POINTS, nearest, Series } from "../../../../../explorer/tabs/train/watch/series.js";

const row = (step, values = {}) => ({ step, epoch: step / 100, seconds: step / 10, ...values });

function filled(count) {
  const series = new Series();
  for (let step = 1; step <= count; step++) series.add(row(step, { loss: step }));
  return series;
}

test("rows stand in the order of steps", () => assert.deepEqual(filled(4).columns.step, [1, 2, 3, 4]));

test("a run that goes on from an earlier step takes the place of what was measured later", () => {
  const series = filled(5);
  series.add(row(3, { loss: 30 }));
  assert.deepEqual(series.columns.step, [1, 2, 3]);
  assert.deepEqual(series.columns.loss, [1, 2, 30]);
});

test("a value that comes later has gaps before it, and one that is missing has one after it", () => {
  const series = filled(2);
  series.add(row(3, { accuracy: 0.5 }));
  assert.deepEqual(series.columns.accuracy, [NaN, NaN, 0.5]);
  assert.deepEqual([series.last("loss"), series.last("accuracy"), series.last("speed")], [2, 0.5, NaN]);
});

test("beyond the most points neighbours are merged: means at the step of the last, and the memory does not grow", () => {
  const series = filled(MOST_POINTS + 1);
  assert.equal(series.length, MOST_POINTS / 2 + 1);
  assert.deepEqual(series.columns.step.slice(0, 2), [2, 4]);
  assert.deepEqual(series.columns.loss.slice(0, 2), [1.5, 3.5]);
  const long = filled(3 * MOST_POINTS);
  assert.ok(long.length <= MOST_POINTS && long.stride === 4);
  assert.equal(
    long.weights.reduce((sum, weight) => sum + weight, 0),
    3 * MOST_POINTS,
  );
  const mean = long.columns.loss.reduce((sum, loss, at) => sum + loss * long.weights[at], 0) / (3 * MOST_POINTS);
  assert.ok(Math.abs(mean - (3 * MOST_POINTS + 1) / 2) < 1e-6, "no row is lost on the way");
  assert.equal(long.columns.step.at(-1), 3 * MOST_POINTS);
});

test("smoothing has no bias towards its start, and leaves gaps alone", () => {
  const series = new Series();
  for (const [step, loss] of [
    [1, 2],
    [2, NaN],
    [3, 4],
  ])
    series.add(row(step, { loss }));
  const [first, gap, third] = series.smoothed("loss", 0.5);
  assert.deepEqual([first, gap], [2, NaN]);
  assert.ok(Math.abs(third - (0.25 * 2 + 0.5 * 4) / 0.75) < 1e-12);
  assert.deepEqual(series.smoothed("loss", 0), [2, NaN, 4]);
});

test("the nearest of an ascending list", () => {
  const list = [1, 4, 6];
  assert.deepEqual(
    [-5, 1, 2.4, 2.6, 5.1, 99].map((x) => nearest(list, x)),
    [0, 0, 0, 1, 2, 2],
  );
  assert.equal(nearest([], 3), -1);
});
