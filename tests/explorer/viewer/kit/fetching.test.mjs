// Files of the server, and what has expired there.
import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";

import { Expired, fetchBytes, fetchFile } from "../../../../explorer/viewer/kit/scripts/fetching.js";

const answers = (status, body = "") => {
  globalThis.fetch = async () => new Response(body, { status });
};

test("a file that is gone or no longer permitted has expired", async () => {
  for (const status of [403, 404]) {
    answers(status);
    await assert.rejects(fetchFile("/file"), Expired);
  }
});

test("any other refusal names its status", async () => {
  answers(503);
  await assert.rejects(fetchBytes("/file"), { message: "HTTP 503" });
});

test("a whole file and a part of one are unpacked alike", async () => {
  for (const status of [200, 206]) {
    answers(status, gzipSync("numbers"));
    assert.equal(new TextDecoder().decode(await fetchBytes("/file")), "numbers");
  }
});
