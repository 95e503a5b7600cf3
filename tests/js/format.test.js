import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as format from "#page/format.js";
import { useLanguage } from "./support.js";

const FIXTURE = JSON.parse(readFileSync(new URL("../fixtures/formatting.json", import.meta.url), "utf8"));

/** How this module writes each kind of value in the fixture. The year is never left out there. */
const FORMATTERS = {
  money: ({ value, currency }) => format.money(value, currency),
  count: ({ value }) => format.count(value),
  decimal: ({ value }) => format.decimal(value),
  percent: ({ value }) => format.percent(value),
  change: ({ value }) => format.change(value),
  date: ({ value }) => format.dayName(value, ""),
  weekday: ({ value }) => format.weekday(value),
  time: ({ value }) => format.time(value),
  time_with_seconds: ({ value }) => format.timeWithSeconds(value),
};

for (const language of ["en", "fr"]) {
  test(`every kind of value is written as in the fixture: ${language}`, () => {
    useLanguage(language);
    assert.deepEqual(Object.keys(FIXTURE), Object.keys(FORMATTERS));
    for (const [kind, cases] of Object.entries(FIXTURE)) {
      for (const each of cases) {
        assert.equal(FORMATTERS[kind](each), each[language], `${kind} ${each.value}`);
      }
    }
  });
}

test("an amount is split before its decimal point, and the sign of the currency stays where it is", () => {
  useLanguage("en");
  assert.deepEqual(format.moneyParts("1234.5", "EUR"), ["€1,234", ".50"]);
  assert.deepEqual(format.moneyParts("1234", "JPY"), ["JP¥1,234", ""]);
  useLanguage("fr");
  assert.deepEqual(format.moneyParts("1234.5", "EUR"), ["1\u202f234", ",50\u00a0€"]);
});

test("missing amounts and counts are a dash", () => {
  assert.deepEqual([format.money(null, "EUR"), format.roundMoney(null, "EUR"), format.count(null)], ["–", "–", "–"]);
});

test("a glance needs no cents, and an axis no more than three digits", () => {
  useLanguage("en");
  assert.equal(format.roundMoney("1234.5", "EUR"), "€1,235");
  const texts = [0, 250, 2500, 1_234_567].map(format.compact);
  // Versions of ICU differ in the case of the thousand.
  assert.deepEqual(
    texts.map((text) => text.toLowerCase()),
    ["0", "250", "2.5k", "1.23m"],
  );
});

test("the year of a day is left out in that year only", () => {
  useLanguage("en");
  assert.equal(format.dayName("2026-11-23", "2026"), "Mon 23 Nov");
  assert.equal(format.dayName("2025-11-23", "2026"), "Sun 23 Nov 2025");
  assert.equal(format.dayRange("2026-11-23", "2026-11-23", "2026"), "Mon 23 Nov");
  assert.equal(format.dayRange("2026-11-23", "2026-11-24", "2026"), "Mon 23 Nov – Tue 24 Nov");
});

test("days are added across months and changes of the clock", () => {
  assert.equal(format.addDays("2026-02-28", 1), "2026-03-01");
  assert.equal(format.addDays("2026-03-29", 1), "2026-03-30");
  assert.equal(format.addDays("2026-10-26", -1), "2026-10-25");
  assert.equal(format.dayCount("2026-10-24", "2026-10-26"), 3);
});

test("a time of day goes round at midnight", () => {
  const times = [-75, 0, 615, 1440].map((offset) => format.clock("2026-11-23T00:00:00", offset));
  assert.deepEqual(times, ["22:45", "00:00", "10:15", "00:00"]);
});

test("a duration has its largest fitting unit", () => {
  useLanguage("en");
  const ms = [0, 999, 1000, 9949, 10_000, 119_999, 120_000, 7_200_000, 172_800_000];
  const texts = ["0 ms", "999 ms", "1.0 s", "9.9 s", "10 s", "119 s", "2 min", "2 h", "2 days"];
  assert.deepEqual(
    ms.map((each) => format.duration(each).replace("\u00a0", " ")),
    texts,
  );
});

test("the age of the figures is rounded down", () => {
  useLanguage("en");
  assert.deepEqual([0, 1990, 9999, 61_000].map(format.age), ["0.0\u00a0s", "1.9\u00a0s", "9.9\u00a0s", "61\u00a0s"]);
});

test("a change is better or worse by what it is of", () => {
  useLanguage("en");
  assert.deepEqual(format.rated("6.2"), ["+6.2%", 1]);
  assert.deepEqual(format.rated("6.2", false), ["+6.2%", -1]);
  assert.deepEqual(format.rated("-0.4"), ["-0.4%", -1]);
  assert.deepEqual(format.rated("new"), ["new", 0]);
  assert.deepEqual(format.rated(null), ["", 0]);
});
