import assert from "node:assert/strict";
import { before, test } from "node:test";
import { attentionItems } from "#page/attention.js";
import { overview, useLanguage } from "./support.js";

before(() => useLanguage("en"));

const ALERT = {
  rule: "silent_shop",
  level: "bad",
  subject: "12",
  title: "Rennes",
  since: "2026-11-23T10:15:00",
  values: { minutes: 1260 },
  link: "/shops/12",
};
const WAITING = { waiting: { quarantined: 2, conflicts: 1 }, anomalies: 3 };

test("without anything to look at, the page says so", () => {
  const [item, ...others] = attentionItems(overview(), [], {});
  assert.deepEqual([item.level, item.href, others], ["good", "", []]);
});

test("an alert says what is wrong since when, with its numbers formatted", () => {
  const [item] = attentionItems(overview(), [ALERT], {});
  assert.deepEqual(item, { level: "bad", title: "Rennes", note: "silent for 1,260 min", href: "/shops/12" });
});

test("of many alerts the first are shown, and the number of the others", () => {
  const items = attentionItems(overview(), Array(10).fill(ALERT), {});
  assert.equal(items.length, 9);
  assert.deepEqual([items[8].title, items[8].href], ["2 more alerts", "/alerts"]);
});

test("counters link to the lists of the day", () => {
  const items = attentionItems(overview({ counters: WAITING }), null, {});
  assert.deepEqual(
    items.map(({ title, href }) => [title, href]),
    [
      ["2 refused", "/quarantine?day=2026-11-23"],
      ["1 conflict", "/quarantine?kind=conflict&day=2026-11-23"],
      ["3 receipts with an anomaly", "/anomalies?day=2026-11-23"],
    ],
  );
});

test("of several days the lists have all, and anomalies are those of the shop", () => {
  const days = overview({ from: "2026-11-22", counters: { waiting: null, anomalies: 1 } });
  const [item, ...others] = attentionItems(days, null, { store: "12" });
  assert.deepEqual([item.title, item.href, others], ["1 receipt with an anomaly", "/anomalies?store=12", []]);
});

test("receipts for one other day lead to that day", () => {
  const [item, ...others] = attentionItems(overview({ other_days: [{ day: "2017-11-18", receipts: 1 }] }), [], {});
  assert.deepEqual(
    [item.title, item.note, item.href, others],
    ["1 receipt arrived for other days", "Sat 18 Nov 2017", "/?day=2017-11-18", []],
  );
});

test("receipts for several other days lead to all of them, and to the latest days", () => {
  const days = ["2017-11-18", "2017-11-17", "2017-11-16", "2017-11-15"].map((day) => ({ day, receipts: 2 }));
  const items = attentionItems(overview({ other_days: days }), [], {});
  assert.equal(items[0].title, "8 receipts arrived for other days");
  assert.equal(items[0].href, "/receipts?arrived=2026-11-23");
  assert.deepEqual(
    items.slice(1).map(({ href }) => href),
    ["/?day=2017-11-18", "/?day=2017-11-17", "/?day=2017-11-16"],
  );
});
