import assert from "node:assert/strict";
import { before, test } from "node:test";
import { freshness } from "#page/freshness.js";
import { overview, useLanguage } from "./support.js";

before(() => useLanguage("en"));

/** What the page says; without changes everything is in order. */
const said = (changes = {}) => {
  const { name, label, detail } = freshness({
    overview: overview(),
    sinceMs: 100,
    connected: true,
    problem: null,
    ...changes,
  });
  return [name, label, detail];
};

test("figures of now are live, and say their age", () => {
  assert.deepEqual(said({ sinceMs: 1250 }), ["live", "Live", "1.2\u00a0s old"]);
});

test("before the first figures the page connects", () => {
  assert.deepEqual(said({ overview: null, connected: false }), ["", "Connecting…", ""]);
});

test("a problem comes before everything else", () => {
  assert.deepEqual(said({ overview: null, problem: "stalled" }), ["stale", "Not live", "stalled"]);
});

test("without a connection, or after a long silence, figures are stale", () => {
  assert.equal(said({ connected: false })[0], "stale");
  assert.deepEqual(said({ sinceMs: 12_001 }), ["stale", "Not live", "figures 12\u00a0s old"]);
  assert.equal(said({ sinceMs: 12_000 })[0], "live");
});

test("a day that is over does not grow stale", () => {
  assert.deepEqual(said({ overview: overview({ live: false }), sinceMs: 60_000 })[1], "Complete");
});

test("figures that are behind say by how much", () => {
  const behind = overview({ age_ms: 5001, lag: 1200 });
  assert.deepEqual(said({ overview: behind }), ["behind", "Behind", "5.0\u00a0s, 1,200 pending"]);
});
