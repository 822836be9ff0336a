// Numbers of a run.
import assert from "node:assert/strict";
import test from "node:test";

import {
  describePhase,
  formatBatch,
  formatBytes,
  formatOf,
  formatRate,
  progressShare,
  roundEpoch,
} from "../../../../../explorer/tabs/train/watch/words.js";

const t = (key, values) => (values ? `${key}(${Object.values(values)})` : key);

test("what a worker does besides training", () => {
  assert.equal(describePhase({ phase: "training" }, t, "en"), "");
  assert.equal(describePhase({ phase: "loading" }, t, "en"), "phase_loading");
  assert.equal(
    describePhase({ phase: "loading", note: { en: "pictures", zh: "图片" } }, t, "zh"),
    "phase_loading: 图片",
  );
  assert.equal(describePhase({ phase: "training", note: "warming up" }, t, "en"), "warming up");
});

test("how much is behind us: by steps, else by time, else nothing", () => {
  assert.equal(progressShare({ step: 30, steps: 40 }), 0.75);
  assert.equal(progressShare({ step: 50, steps: 40 }), 1);
  assert.equal(progressShare({ seconds: 30, seconds_left: 10 }), 0.75);
  for (const unknown of [{}, { seconds: 30 }, { seconds: 30, seconds_left: null }, { seconds: 0, seconds_left: 0 }])
    assert.equal(progressShare(unknown), 0);
});

test("numbers, and a dash for those that are none", () => {
  assert.deepEqual([formatOf(5, 80, t), formatOf(5, null, t), formatOf(NaN, 80, t)], ["of(5,80)", "5", "–"]);
  assert.deepEqual([roundEpoch(1.239), roundEpoch(12.39), roundEpoch(undefined)], [1.24, 12.4, NaN]);
  assert.deepEqual([formatRate(1234.5), formatRate(NaN)], ["1230", "–"]);
  assert.deepEqual(
    [formatBytes(3 * 2 ** 29), formatBytes(5 * 2 ** 20), formatBytes(NaN), formatBytes(0)],
    ["1.5 GiB", "5 MiB", "–", "–"],
  );
  assert.deepEqual(
    [formatBatch(128, 4), formatBatch(128, 1), formatBatch(128, undefined), formatBatch(undefined, 2)],
    ["128 = 4 × 32", "128", "128", "–"],
  );
});
