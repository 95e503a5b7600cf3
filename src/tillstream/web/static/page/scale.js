// The arithmetic of the plots: axes, running totals and bins. This module does not change the page.

/** @import { Course, Pace } from "./types" */
/** @typedef {[offset: number, value: number]} Point */
/** @typedef {{ width: number, height: number, first: number, last: number, top: number }} Extent */

export const MARGIN = { top: 18, right: 44, bottom: 22, left: 2 };

const LABEL_WIDTH = 76;
const AXIS_STEPS = {
  minute: [15, 30, 60, 120, 180, 240, 360],
  hour: [6, 12, 24, 48],
  day: [1, 2, 7, 14, 28, 56],
};
const MINIMUM_SPAN = { minute: 20, hour: 4, day: 1 };
const BIN_WIDTHS = [1, 2, 5, 10, 15, 30, 60];

/**
 * Returns three or four round numbers from 0 to at least the maximum.
 * @param {number} greatest above 0
 * @returns {number[]}
 */
export function ticks(greatest) {
  const rough = greatest / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? 10 * power;
  return Array.from({ length: Math.ceil(greatest / step) + 1 }, (_, i) => i * step);
}

/** Converts offsets of the time axis and values into pixels, and back. */
export class Scale {
  /** @param {Extent} extent size in pixels, the first and last offset, and the greatest value */
  constructor({ width, height, first, last, top }) {
    this.width = width;
    this.height = height;
    this.first = first;
    this.last = Math.max(last, first + 1);
    this.ticks = ticks(Math.max(top, 1));
    this.top = this.ticks[this.ticks.length - 1];
    this.right = width - MARGIN.right;
    this.floor = height - MARGIN.bottom;
  }

  /** @param {number} offset */
  x(offset) {
    return MARGIN.left + ((offset - this.first) / (this.last - this.first)) * (this.right - MARGIN.left);
  }

  /** @param {number} value */
  y(value) {
    return this.floor - (value / this.top) * (this.floor - MARGIN.top);
  }

  /** @param {number} x */
  offset(x) {
    return this.first + ((x - MARGIN.left) / (this.right - MARGIN.left)) * (this.last - this.first);
  }

  /**
   * Returns the offsets of the labels on the time axis, as many as fit.
   * @param {Pace["unit"]} unit
   * @returns {number[]}
   */
  labels(unit) {
    const room = Math.max(2, Math.floor(this.width / LABEL_WIDTH));
    const steps = AXIS_STEPS[unit];
    const step = steps.find((each) => (this.last - this.first) / each <= room) ?? steps[steps.length - 1];
    const start = Math.ceil(this.first / step) * step;
    return Array.from({ length: Math.max(0, Math.floor((this.last - start) / step) + 1) }, (_, i) => start + i * step);
  }

  /**
   * Returns an SVG path through the points.
   * @param {Point[]} points
   */
  path(points) {
    const steps = points.map(([offset, value]) => `${this.x(offset).toFixed(1)} ${this.y(value).toFixed(1)}`);
    return steps.length ? `M${steps.join("L")}` : "";
  }
}

/**
 * Returns the running total at each offset, as steps that start at 0.
 * @param {Course} course
 * @param {number} first
 * @returns {Point[]}
 */
export function runningTotal({ offset, revenue }, first) {
  /** @type {Point[]} */
  const points = [[first, 0]];
  let total = 0;
  offset.forEach((at, i) => {
    if (at - 1 > points[points.length - 1][0]) {
      points.push([at - 1, total]);
    }
    total += Number(revenue[i]); // A line needs no more than the precision of a pixel.
    points.push([at, total]);
  });
  return points;
}

/**
 * Returns the value of the last point at or before an offset.
 * @param {Point[]} points
 * @param {number} offset
 */
export const valueAt = (points, offset) => points.findLast(([at]) => at <= offset)?.[1] ?? 0;

/**
 * Returns the first and the last offset of all sales in the plot. The span has a minimum, for the start of a day.
 * @param {Pace} pace
 * @returns {[number, number]}
 */
export function bounds({ offset, before, now, unit }) {
  const sold = [...offset, ...before.offset];
  const end = now === null ? sold : [...sold, now];
  const last = end.length ? Math.max(...end) : 1;
  const first = sold.length ? Math.min(...sold) - 1 : last - 1;
  return [Math.min(first, last - MINIMUM_SPAN[unit]), last];
}

/**
 * Returns the width of a bar in units of the axis, so that all bars fit.
 * @param {Pace["unit"]} unit
 * @param {number} span
 * @param {number} room number of bars that fit
 */
export function binWidth(unit, span, room) {
  return unit === "minute" ? (BIN_WIDTHS.find((width) => span / width <= room) ?? 60) : 1;
}

/**
 * Returns the receipts per bin, by the first offset of the bin.
 * @param {Course} course
 * @param {number} width
 * @returns {Map<number, number>}
 */
export function bins({ offset, receipts }, width) {
  const sums = new Map();
  offset.forEach((at, i) => {
    const start = Math.floor(at / width) * width;
    sums.set(start, (sums.get(start) ?? 0) + (receipts?.[i] ?? 0));
  });
  return sums;
}

/**
 * Returns the points of a sparkline as text for an SVG polyline.
 * @param {readonly (string | number | null)[]} values
 * @param {number} width
 * @param {number} height
 */
export function sparkPoints(values, width, height) {
  const numbers = values.map((value) => Number(value ?? 0));
  const top = Math.max(...numbers, 1e-9);
  const low = Math.min(...numbers, 0);
  const step = (width - 2) / Math.max(1, numbers.length - 1);
  return numbers
    .map((value, i) => {
      const y = height - 2 - ((value - low) / (top - low)) * (height - 4);
      return `${(1 + i * step).toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}
