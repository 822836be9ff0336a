// The address of a run.
import assert from "node:assert/strict";
import test from "node:test";

import { addressInSight, linkToRun } from "../../../../../explorer/tabs/train/watch/address.js";

const run = { run: "r1" };

test("the address names the run while it is in sight, and keeps what else it says", () => {
  assert.equal(addressInSight("http://h/p/?lang=zh#top", run, true), "http://h/p/?lang=zh&run=r1#top");
  assert.equal(addressInSight("http://h/?run=r1&ticket=x", run, true), null, "it is there already");
  assert.equal(
    addressInSight("http://h/?run=r0&ticket=x", run, true),
    "http://h/?run=r1",
    "the ticket was of the other run",
  );
  assert.equal(addressInSight("http://h/?run=r1&ticket=x", run, false), "http://h/");
});

test("a page that has no run yet keeps the address with which it was opened", () => {
  assert.equal(addressInSight("http://h/?run=r1&ticket=x", null, true), null);
  assert.equal(addressInSight("http://h/", null, false), null);
});

test("a link for others opens the run and nothing else; a secret run takes its ticket along", () => {
  assert.equal(linkToRun("http://h/p/?lang=zh&run=r0&ticket=old", run), "http://h/p/?run=r1");
  assert.equal(
    linkToRun("http://h/", { run: "a b&c", secret: true, ticket: "t=1" }),
    "http://h/?run=a+b%26c&ticket=t%3D1",
  );
});
