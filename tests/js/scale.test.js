import assert from "node:assert/strict";
import { test } from "node:test";
import { timeAt } from "#page/plots.js";
import { bins, binWidth, bounds, runningTotal, Scale, sparkPoints, ticks, valueAt } from "#page/scale.js";
import { useLanguage } from "./support.js";

const EMPTY = { offset: [], revenue: [], receipts: [] };

test("ticks are few round numbers that reach the greatest value", () => {
  assert.deepEqual(ticks(1), [0, 0.5, 1]);
  assert.deepEqual(ticks(100), [0, 50, 100]);
  assert.deepEqual(ticks(7), [0, 2.5, 5, 7.5]);
  for (let top = 1; top < 1e6; top = Math.ceil(top * 1.3)) {
    const marks = ticks(top);
    assert.ok(marks.length >= 3 && marks.length <= 5, `${top}: ${marks}`);
    assert.ok(marks[marks.length - 1] >= top, `${top}: ${marks}`);
  }
});

test("a scale puts offsets and values inside its margins, and finds offsets again", () => {
  const scale = new Scale({ width: 446, height: 140, first: 0, last: 100, top: 100 });
  assert.deepEqual([scale.x(0), scale.x(100)], [2, 402]);
  assert.deepEqual([scale.y(0), scale.y(100)], [118, 18]);
  assert.equal(scale.offset(scale.x(37)), 37);
  assert.equal(
    scale.path([
      [0, 0],
      [50, 100],
    ]),
    "M2.0 118.0L202.0 18.0",
  );
  assert.equal(scale.path([]), "");
});

test("an axis has as many labels as fit, at multiples of their step", () => {
  const scale = (width, first, last) => new Scale({ width, height: 100, first, last, top: 1 });
  assert.deepEqual(scale(400, 430, 700).labels("minute"), [480, 540, 600, 660]);
  assert.deepEqual(scale(160, 0, 1440).labels("minute"), [0, 360, 720, 1080, 1440]);
  assert.deepEqual(scale(400, 0, 72).labels("hour"), [0, 24, 48, 72]);
  assert.deepEqual(scale(800, 0, 6).labels("day"), [0, 1, 2, 3, 4, 5, 6]);
});

test("a running total rises in steps and starts at nothing", () => {
  const course = { offset: [10, 11, 20], revenue: ["1.50", "-0.50", "2.00"], receipts: [1, 1, 1] };
  assert.deepEqual(runningTotal(course, 5), [
    [5, 0],
    [9, 0],
    [10, 1.5],
    [11, 1],
    [19, 1],
    [20, 3],
  ]);
  assert.deepEqual(runningTotal(EMPTY, 5), [[5, 0]]);
});

test("the value at an offset is that of the last point before it", () => {
  const points = [
    [5, 0],
    [10, 1.5],
    [20, 3],
  ];
  assert.deepEqual(
    [4, 5, 9, 10, 19, 20, 99].map((offset) => valueAt(points, offset)),
    [0, 0, 0, 1.5, 1.5, 3, 3],
  );
  assert.equal(valueAt([], 1), 0);
});

test("the time axis holds both sides and now, and is not too short", () => {
  const pace = { unit: "minute", offset: [480, 500], now: 520, before: { ...EMPTY, offset: [470, 1100] } };
  assert.deepEqual(bounds(pace), [469, 1100]);
  assert.deepEqual(bounds({ ...pace, before: EMPTY }), [479, 520]);
  assert.deepEqual(bounds({ ...pace, offset: [515], before: EMPTY }), [500, 520]);
  assert.deepEqual(bounds({ ...pace, offset: [], before: EMPTY, now: null }), [-19, 1]);
});

test("bars are as narrow as fit, and hours and days have one each", () => {
  assert.deepEqual(
    [100, 200, 1000, 10_000].map((span) => binWidth("minute", span, 100)),
    [1, 2, 10, 60],
  );
  assert.equal(binWidth("day", 400, 100), 1);
});

test("bins sum the receipts of their offsets, also before the day begins", () => {
  const course = { offset: [-1, 0, 4, 5, 12], revenue: [], receipts: [1, 2, 3, 4, 5] };
  assert.deepEqual(
    [...bins(course, 5)],
    [
      [-5, 1],
      [0, 5],
      [5, 4],
      [10, 5],
    ],
  );
});

test("a sparkline spans its height, whatever its values", () => {
  assert.equal(sparkPoints(["0", "10", null], 64, 18), "1.0,16.0 32.0,2.0 63.0,16.0");
  assert.equal(sparkPoints(["5"], 64, 18), "1.0,2.0");
  assert.equal(sparkPoints([], 64, 18), "");
});

test("an offset is a time of day, or a day where the axis has days", () => {
  useLanguage("en");
  const start = "2025-11-23T00:00";
  assert.equal(timeAt({ unit: "minute", start }, 615), "10:15");
  assert.equal(timeAt({ unit: "hour", start }, 30), "06:00");
  assert.equal(timeAt({ unit: "hour", start: "2017-11-18T00:00" }, 24), "Sun 19 Nov 2017");
  assert.equal(timeAt({ unit: "day", start: "2017-11-18T00:00" }, 2), "Mon 20 Nov 2017");
});
