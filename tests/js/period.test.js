import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import * as period from "#page/period.js";

/** Has the page at an address, as a browser would. */
function open(address) {
  globalThis.location = new URL(address, "http://page");
}

afterEach(() => {
  globalThis.location = undefined;
});

test("a path names a part of the chain", () => {
  assert.deepEqual(period.scope("/"), {});
  assert.deepEqual(period.scope("/regions/Pays%20de%20la%20Loire"), { region: "Pays de la Loire" });
  assert.deepEqual(period.scope("/shops/12"), { store: "12" });
  assert.deepEqual(period.scope("/shops/12/tills/a%2Fb"), { store: "12", till: "a/b" });
  assert.deepEqual(period.scope("/categories/Pain"), { category: "Pain" });
  assert.deepEqual(period.scope("/products/1/2"), {});
});

test("the query has the period and the scope, and nothing else of the address", () => {
  open("/shops/12?day=2026-11-20&lang=fr&vs=");
  assert.equal(period.query(), "day=2026-11-20&store=12");
  assert.equal(period.isHome(), false);
  open("/?lang=fr&wall=1");
  assert.equal(period.isHome(), true);
});

test("places keep the days that the page shows", () => {
  open("/shops/12?from=2026-11-01&to=2026-11-20&lang=fr");
  assert.equal(period.places.till("1/2", "3"), "/shops/1%2F2/tills/3?from=2026-11-01&to=2026-11-20");
  assert.equal(period.places.chain(), "/?from=2026-11-01&to=2026-11-20");
  assert.equal(period.places.receipt("ab"), "/receipts/ab");
  const parent = { kind: "region", title: "Bretagne", region: "Bretagne" };
  assert.equal(period.placeOf(parent), "/regions/Bretagne?from=2026-11-01&to=2026-11-20");
});

test("today has no parameters, one day has one, and several days have two", () => {
  assert.deepEqual(period.asPeriod("2026-11-23", "2026-11-23", "2026-11-23"), {});
  assert.deepEqual(period.asPeriod("2026-11-22", "2026-11-22", "2026-11-23", ""), { day: "2026-11-22" });
  assert.deepEqual(period.asPeriod("2026-11-20", "2026-11-23", "2026-11-23", "2026-10-01"), {
    from: "2026-11-20",
    to: "2026-11-23",
    vs: "2026-10-01",
  });
});

test("another period keeps the place and the other parameters", () => {
  const current = { pathname: "/shops/12", search: "?lang=fr&day=2026-11-20&vs=2026-11-01" };
  assert.equal(
    period.withPeriod({ from: "2026-11-01", to: "2026-11-02" }, current),
    "/shops/12?lang=fr&from=2026-11-01&to=2026-11-02",
  );
  assert.equal(period.withPeriod({}, { pathname: "/", search: "?day=2026-11-20" }), "/");
});

test("quick spans end today or before", () => {
  const spans = period.quickSpans("2026-03-01");
  assert.deepEqual(spans.yesterday, ["2026-02-28", "2026-02-28"]);
  assert.deepEqual(spans.last_7_days, ["2026-02-23", "2026-03-01"]);
  assert.deepEqual(spans.last_28_days, ["2026-02-02", "2026-03-01"]);
  assert.deepEqual(spans.this_month, ["2026-03-01", "2026-03-01"]);
});

test("the neighbours of a span have its length, and none is after today", () => {
  assert.deepEqual(period.neighbours("2026-11-22", "2026-11-22", "2026-11-23"), {
    before: { day: "2026-11-21" },
    after: {},
  });
  assert.deepEqual(period.neighbours("2026-11-10", "2026-11-16", "2026-11-23"), {
    before: { from: "2026-11-03", to: "2026-11-09" },
    after: { from: "2026-11-17", to: "2026-11-23" },
  });
  assert.equal(period.neighbours("2026-11-23", "2026-11-23", "2026-11-23").after, null);
});
