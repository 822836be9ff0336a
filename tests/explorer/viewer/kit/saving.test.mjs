// The manifest in a saved PNG.
import assert from "node:assert/strict";
import test from "node:test";
import { crc32 as zlibCrc32, deflateSync } from "node:zlib";

import { crc32, withManifest } from "../../../../explorer/viewer/kit/scripts/saving.js";

test("the check sum is the one of the PNG specification", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")) >>> 0, 0xcbf43926);
  if (zlibCrc32) assert.equal(crc32(Uint8Array.of(1, 2, 3)) >>> 0, zlibCrc32(Buffer.from([1, 2, 3])));
});

test("a manifest lies behind IHDR as one iTXt chunk of UTF-8, and nothing else is touched", async () => {
  const head = Uint8Array.from({ length: 33 }, (_, at) => at),
    rest = new Uint8Array(deflateSync("pixels"));
  const png = withManifest(new Blob([head, rest], { type: "image/png" }), { title: "注意力", layer: 3 });
  assert.equal(png.type, "image/png");
  const bytes = Buffer.from(await png.arrayBuffer()),
    length = bytes.readUInt32BE(33);
  const chunk = bytes.subarray(37, 41 + length);
  assert.deepEqual([...bytes.subarray(0, 33)], [...head]);
  assert.equal(chunk.subarray(0, 4).toString(), "iTXt");
  assert.equal(chunk.subarray(4, 21).toString(), "vit-explorer\0\0\0\0\0");
  assert.deepEqual(JSON.parse(chunk.subarray(21).toString("utf8")), { title: "注意力", layer: 3 });
  assert.equal(bytes.readInt32BE(41 + length), crc32(chunk));
  assert.deepEqual([...bytes.subarray(45 + length)], [...rest]);
});
