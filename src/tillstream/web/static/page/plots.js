// Draws plots as SVG in the size of their containers. Each update redraws the whole plot.
import { h, svg } from "./dom.js";
import { addDays, clock, compact, count, dayName, money } from "./format.js";
import { t } from "./i18n.js";
import { bins, binWidth, bounds, MARGIN, runningTotal, Scale, sparkPoints, valueAt } from "./scale.js";

/** @import { Overview, Pace } from "./types" */
/** @import { Point } from "./scale.js" */
/**
 * @typedef {object} Labels
 * @property {string} now name of the days shown
 * @property {string} before name of the days compared with
 * @property {string} description for screen readers
 */

const PLOT_MINIMUM = { width: 160, height: 120 };
const BAR_ROOM = 5; // Pixels from bar to bar.

/**
 * @param {HTMLElement} place
 * @param {number} first
 * @param {number} last
 * @param {number} top
 */
function scaleOf(place, first, last, top) {
  const width = Math.max(place.clientWidth, PLOT_MINIMUM.width);
  const height = Math.max(place.clientHeight, PLOT_MINIMUM.height);
  return new Scale({ width, height, first, last, top });
}

/**
 * Returns the day or the time of day at an offset of the time axis.
 * @param {Pace} pace
 * @param {number} offset
 */
export function timeAt({ unit, start }, offset) {
  const at = Math.round(offset);
  const hours = unit === "hour" ? at : 0;
  if (unit === "day" || (unit === "hour" && hours % 24 === 0)) {
    return dayName(addDays(start.slice(0, 10), unit === "day" ? at : hours / 24));
  }
  return clock(start, unit === "hour" ? hours * 60 : at);
}

/**
 * Draws grid lines with their values, and the labels of the time axis.
 * @param {Scale} scale
 * @param {Pace} pace
 */
function axes(scale, pace) {
  /** @type {SVGElement[]} */
  const values = scale.ticks.flatMap((value) => {
    const y = scale.y(value);
    return [
      svg("line", { class: "grid", x1: MARGIN.left, x2: scale.right, y1: y, y2: y }),
      svg("text", { class: "tick", x: scale.right + 6, y: y + 4 }, compact(value)),
    ];
  });
  const times = scale.labels(pace.unit).map((offset) => {
    const x = Math.min(Math.max(scale.x(offset), 16), scale.right - 8);
    return svg("text", { class: "tick", x, y: scale.height - 5, "text-anchor": "middle" }, timeAt(pace, offset));
  });
  return [...values, ...times];
}

/**
 * Draws the area and the line of the sales up to now, with a label at the end.
 * @param {Scale} scale
 * @param {Point[]} points
 * @param {string} label
 */
function salesLine(scale, points, label) {
  const line = scale.path(points);
  const [end, total] = points[points.length - 1];
  const [x, y] = [scale.x(end), scale.y(total)];
  const isLeft = x > scale.width * 0.3;
  const anchor = { x: x + (isLeft ? -10 : 12), y: Math.max(y - 10, 12), "text-anchor": isLeft ? "end" : "start" };
  return [
    svg("path", { class: "area", d: `${line}L${x} ${scale.floor}L${scale.x(points[0][0])} ${scale.floor}Z` }),
    svg("path", { class: "line", d: line }),
    svg("circle", { class: "halo", cx: x, cy: y, r: 8 }),
    svg("circle", { class: "dot", cx: x, cy: y, r: 4.5 }),
    svg("text", { class: "label", ...anchor }, label),
  ];
}

/**
 * Draws the cumulative sales up to now, and those of the days that are compared with.
 * @param {HTMLElement} place
 * @param {Overview} overview
 * @param {Labels & { end: (time: string) => string }} labels
 */
export function drawPace(place, { pace, currency }, labels) {
  const [first, last] = bounds(pace);
  const now = runningTotal(pace, first);
  const before = runningTotal(pace.before, first);
  const [lastSale, total] = now[now.length - 1];
  const end = pace.now === null ? lastSale : Math.min(pace.now, last);
  if (end > lastSale) {
    now.push([end, total]);
  }
  const scale = scaleOf(place, first, last, Math.max(total, before[before.length - 1][1]) * 1.05);
  const isCompared = pace.before.offset.length > 0;
  const marks = axes(scale, pace);
  if (isCompared) {
    marks.push(svg("path", { class: "before", d: scale.path(before) }));
  }
  if (pace.offset.length) {
    marks.push(...salesLine(scale, now, labels.end(timeAt(pace, end))));
  }
  /**
   * @param {Point[]} points
   * @param {number} offset
   */
  const amount = (points, offset) => money(valueAt(points, offset).toFixed(2), currency);
  show(place, scale, marks, labels.description, (offset) => {
    const at = Math.min(Math.max(offset, first), last);
    return [
      timeAt(pace, at),
      at <= end && `${labels.now} ${amount(now, at)}`,
      isCompared && `${labels.before} ${amount(before, at)}`,
    ];
  });
}

/**
 * Draws receipts per unit of time, in as many bars as fit.
 * @param {HTMLElement} place
 * @param {Overview} overview
 * @param {Labels} labels
 */
export function drawRate(place, { pace }, labels) {
  const [first, last] = bounds(pace);
  const room = Math.max(20, (place.clientWidth - 50) / BAR_ROOM);
  const width = binWidth(pace.unit, last - first, room);
  const now = bins(pace, width);
  const before = bins(pace.before, width);
  const top = Math.max(1, ...[...now.values(), ...before.values()].map((sum) => sum / width));
  const scale = scaleOf(place, Math.floor(first / width) * width, last + width, top);
  const gap = width === 1 && last - first > room ? 0 : 1;
  const barWidth = Math.max(1, scale.x(scale.first + width) - scale.x(scale.first) - gap);
  const bars = [...now].map(([start, sum]) => {
    const y = scale.y(sum / width);
    return svg("rect", { class: "bar", x: scale.x(start), y, width: barWidth, height: Math.max(0, scale.floor - y) });
  });
  /** @type {SVGElement[]} */
  const marks = [...axes(scale, pace), ...bars];
  if (before.size > 1) {
    const starts = [...before].sort(([a], [b]) => a - b);
    /** @type {Point[]} */
    const middles = starts.map(([start, sum]) => [start + width / 2, sum / width]);
    marks.push(svg("path", { class: "before", d: scale.path(middles) }));
  }
  show(place, scale, marks, labels.description, (offset) => {
    const start = Math.floor(offset / width) * width;
    /** @param {Map<number, number>} sums */
    const rate = (sums) => count(Math.round(((sums.get(start) ?? 0) / width) * 10) / 10);
    return [timeAt(pace, start), `${labels.now} ${rate(now)}`, before.size > 0 && `${labels.before} ${rate(before)}`];
  });
}

/**
 * Inserts the plot into its container, with a tooltip that follows the pointer.
 * @param {HTMLElement} place
 * @param {Scale} scale
 * @param {SVGElement[]} marks
 * @param {string} description
 * @param {(offset: number) => (string | false)[]} tooltip lines of the tooltip at an offset
 */
function show(place, scale, marks, description, tooltip) {
  const { width, height } = scale;
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  place.querySelector("svg")?.remove();
  place.prepend(svg("svg", { ...size, role: "img", "aria-label": description }, ...marks));
  const tip =
    /** @type {HTMLElement | null} */ (place.querySelector(".tip")) ?? h("div", { class: "tip", hidden: true });
  place.append(tip);
  /** @param {number} clientX */
  const move = (clientX) => {
    const x = clientX - place.getBoundingClientRect().left;
    place.dataset.at = String(clientX);
    const [head, ...lines] = tooltip(Math.round(scale.offset(x)));
    tip.replaceChildren(h("b", {}, head), ...lines.filter(Boolean).map((line) => h("span", {}, line)));
    tip.hidden = false;
    tip.style.left = `${Math.min(Math.max(x + 12, 0), width - tip.offsetWidth - 4)}px`;
  };
  place.onpointermove = (event) => move(event.clientX);
  place.onpointerleave = () => {
    tip.hidden = true;
    delete place.dataset.at;
  };
  // The pointer may not have moved since the last update.
  if (place.dataset.at) {
    move(Number(place.dataset.at));
  }
}

/**
 * Draws a line without axes.
 * @param {readonly (string | number | null)[]} values
 * @param {number} [width]
 * @param {number} [height]
 */
export function spark(values, width = 64, height = 18) {
  const size = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  const line = svg("polyline", { points: sparkPoints(values, width, height) });
  return svg("svg", { class: "spark", ...size }, line);
}

/**
 * Returns a table with one column per hour and one row per category. A darker cell means higher sales.
 * @param {Overview} overview
 */
export function heatMap({ hours: { hours, rows }, currency }) {
  const amounts = rows.flatMap((row) => row.revenue.map((value) => Number(value ?? 0)));
  const top = Math.max(1, ...amounts);
  const corner = h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, t("category")));
  const head = h("tr", {}, corner, ...hours.map((hour) => h("th", { scope: "col" }, String(hour))));
  const body = rows.map(({ category, revenue }) => {
    const cells = revenue.map((value, i) => {
      const text = money(value, currency);
      const depth = (Math.max(0, Number(value ?? 0)) / top) ** 0.7;
      const style = `--depth:${(depth * 100).toFixed(0)}%`;
      const label = h("span", { class: "visually-hidden" }, text);
      return h("td", { title: `${category}, ${hours[i]} h: ${text}`, style }, label);
    });
    return h("tr", {}, h("th", { scope: "row" }, category), ...cells);
  });
  return h("table", { class: "heat" }, h("thead", {}, head), h("tbody", {}, ...body));
}
