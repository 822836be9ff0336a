// Numbers as pack.py writes them: blocks.json comes from Python (test_blocks.py).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { readBlock, readRow } from "../../../../explorer/viewer/kit/scripts/blocks.js";
import { fromBase64, gunzip } from "../../../../explorer/viewer/kit/scripts/fetching.js";

const blocks = JSON.parse(readFileSync(new URL("blocks.json", import.meta.url), "utf8"));

const near = (found, expected, name) =>
  found.forEach((value, at) =>
    assert.ok(
      Math.abs(value - expected[at]) <= 1e-7 + 1e-5 * Math.abs(expected[at]),
      `${name}: ${value} at ${at}, not ${expected[at]}`,
    ),
  );

for (const {
  name,
  shape: [panels, rows, tokens],
  signed,
  bytes,
  values,
} of blocks) {
  test(`rows and columns of a block: ${name}`, () => {
    const block = readBlock(fromBase64(bytes), panels, rows, tokens),
      out = new Float32Array(tokens);
    for (let panel = 0; panel < panels; panel++) {
      for (let query = 0; query < rows; query++) {
        const start = (panel * rows + query) * tokens;
        near(readRow(block, panel, signed[panel], query, "to", out), values.slice(start, start + tokens), name);
      }
      if (rows !== tokens) continue;
      for (let query = 0; query < tokens; query++) {
        const column = Array.from({ length: rows }, (_, row) => values[(panel * rows + row) * tokens + query]);
        near(readRow(block, panel, signed[panel], query, "by", out), column, name);
      }
    }
  });
}

test("a block of one row gives that row, whatever is asked for", () => {
  const {
    shape: [panels, rows, tokens],
    signed,
    bytes,
    values,
  } = blocks.find(({ name }) => name === "one row");
  const block = readBlock(fromBase64(bytes), panels, rows, tokens);
  near(readRow(block, 1, signed[1], 7, "by", new Float32Array(tokens)), values.slice(tokens), "one row");
});

test("compressed bytes are the same block", async () => {
  for (const { gzip, bytes } of blocks) {
    const unpacked = await gunzip(new Blob([fromBase64(gzip)]).stream());
    assert.deepEqual(new Uint8Array(unpacked), new Uint8Array(fromBase64(bytes)));
  }
});

test("a block that is cut off names both lengths", () => {
  assert.throws(() => readBlock(new ArrayBuffer(17), 1, 2, 5), { message: "expected 19 bytes, got 17" });
});
