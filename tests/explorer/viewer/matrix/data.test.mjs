// The numbers behind a viewer: what is fetched, in which order, and what is said when it is not there.
import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";

import { Expired } from "../../../../explorer/viewer/kit/scripts/fetching.js";
import { StackData } from "../../../../explorer/viewer/matrix/data.js";

const TOKENS = 3,
  VALUE = { token: "t", grid: [1, 2], prefix: ["CLS"], signed: [false], layers: 4, shown: { layer: 2 } };
/** One panel of TOKENS x TOKENS, packed without prediction. */
const LAYER = gzipSync(
  Buffer.concat([Buffer.from(Float32Array.of(1, 1, 1).buffer), Buffer.alloc(TOKENS * TOKENS + 1)]),
);
const ROW = gzipSync(Buffer.concat([Buffer.from(Float32Array.of(1).buffer), Buffer.alloc(TOKENS + 1)])).toString(
  "base64",
);

globalThis.document = { baseURI: "http://host/" };

/** A StackData, what it asked for, and a promise of its next call. */
function watched(value, server, answer = async () => new Response(LAYER)) {
  const asked = [];
  globalThis.fetch = async (url) => {
    asked.push(url);
    return answer(url);
  };
  let resolve;
  const next = () =>
    new Promise((done) => {
      resolve = done;
    });
  const data = new StackData(
    value,
    server,
    () => resolve?.("arrived"),
    (error, needed) => resolve?.({ error, needed }),
  );
  return { data, asked, next };
}

test("the layer in sight comes first, then its neighbours, until all are here", async () => {
  const layers = [],
    server = {
      layer: async ({ layer }) => {
        layers.push(layer);
        return { file: `file=layer${layer}` };
      },
    };
  const { data, asked, next } = watched({ ...VALUE, data: { url: "http://host/file=layer2?key=1" } }, server);
  let arrived = next();
  assert.equal(data.want(2, 0, "to"), undefined);
  while (!data.complete) {
    await arrived;
    arrived = next();
  }
  assert.equal(asked[0], "http://host/file=layer2?key=1");
  assert.deepEqual(layers, [1, 3, 0]);
  assert.ok(asked.includes("http://host/file=layer3?key=1"), "what stands before and after the name is kept");
  assert.ok(data.want(3, 1, "by"), "any row of a layer that is here is here");
});

test("of a long sequence one row is asked for, as it is looked at", async () => {
  const requests = [],
    server = {
      rows: async (request) => {
        requests.push(request);
        return { rows: ROW };
      },
    };
  const { data, next } = watched({ ...VALUE, data: null }, server);
  const arrived = next();
  data.want(2, 0, "to");
  data.want(2, 1, "to"); // before the pointer has rested
  assert.equal(await arrived, "arrived");
  assert.deepEqual(requests, [{ token: "t", layer: 2, query: 1, direction: "to" }]);
  assert.ok(data.want(2, 1, "to"));
});

test("an expired layer says so, and that somebody waits for it", async () => {
  const { data, next } = watched(
    { ...VALUE, data: { url: "http://host/file" } },
    {},
    async () => new Response("", { status: 403 }),
  );
  const failed = next();
  data.want(2, 0, "to");
  const { error, needed } = await failed;
  assert.ok(error instanceof Expired && needed);
});

test("a server that says it has expired, or gives no answer", async () => {
  for (const [answer, check] of [
    [{ expired: true }, (error) => error instanceof Expired],
    [undefined, ({ message }) => message === "no answer"],
    [{ error: "ask for rows" }, ({ message }) => message === "ask for rows"],
  ]) {
    const { data, next } = watched({ ...VALUE, data: null }, { rows: async () => answer });
    const failed = next();
    data.want(0, 0, "to");
    assert.ok(check((await failed).error));
  }
});

test("after it was stopped nothing more is asked", async () => {
  const { data, asked } = watched({ ...VALUE, data: { url: "http://host/file" } }, {});
  data.want(2, 0, "to");
  data.stop();
  await new Promise((done) => setTimeout(done, 30));
  assert.deepEqual(asked, []);
});
