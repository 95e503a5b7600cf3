// Plots as SVG at the size of their place: few marks, drawn anew with each update, nothing kept.
import { h, s } from "./dom.js";
import { clock, count, dayName, money, shifted, short } from "./format.js";
import { word } from "./words.js";

const MARGIN = { top: 18, right: 44, bottom: 22, left: 2 };

// Round numbers from 0 to at least the greatest value, three or four of them.
function ticks(top) {
  const rough = top / 3, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  return Array.from({ length: Math.ceil(top / step) + 1 }, (_, i) => i * step);
}

class Frame {
  constructor(place, first, last, top) {
    this.width = Math.max(place.clientWidth, 160);
    this.height = Math.max(place.clientHeight, 120);
    this.first = first;
    this.last = Math.max(last, first + 1);
    this.marks = ticks(Math.max(top, 1));
    this.top = this.marks[this.marks.length - 1];
    this.floor = this.height - MARGIN.bottom;
  }
  x(offset) {
    return MARGIN.left + ((offset - this.first) / (this.last - this.first)) * (this.width - MARGIN.left - MARGIN.right);
  }
  y(value) {
    return this.floor - (value / this.top) * (this.floor - MARGIN.top);
  }
  offset(x) {
    return this.first + ((x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right)) * (this.last - this.first);
  }
  grid(label) {
    return this.marks.flatMap((mark) => [
      s("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: this.y(mark), y2: this.y(mark) }),
      s("text", { class: "tick", x: this.width - MARGIN.right + 6, y: this.y(mark) + 4 }, label(mark)),
    ]);
  }
  axis(pace) {
    const room = Math.max(2, Math.floor(this.width / 76));
    const steps = pace.unit === "minute" ? [15, 30, 60, 120, 180, 240, 360] : pace.unit === "hour" ? [6, 12, 24, 48] : [1, 2, 7, 14, 28, 56];
    const step = steps.find((each) => (this.last - this.first) / each <= room) || steps[steps.length - 1];
    const shown = [];
    for (let at = Math.ceil(this.first / step) * step; at <= this.last; at += step) {
      const x = Math.min(Math.max(this.x(at), 16), this.width - MARGIN.right - 8);
      shown.push(s("text", { class: "tick", x, y: this.height - 5, "text-anchor": "middle" }, when(pace, at)));
    }
    return shown;
  }
  svg(children, description) {
    const size = { width: this.width, height: this.height, viewBox: `0 0 ${this.width} ${this.height}` };
    return s("svg", { ...size, role: "img", "aria-label": description }, ...children);
  }
}

// What stands at an offset of the axis, in the unit of the pace.
export function when(pace, offset) {
  const at = Math.round(offset);
  if (pace.unit === "day") return dayName(shifted(pace.start.slice(0, 10), at));
  if (pace.unit === "hour") return at % 24 === 0 ? dayName(shifted(pace.start.slice(0, 10), at / 24)) : clock(pace.start, at * 60);
  return clock(pace.start, at);
}

// Sums up to each offset: parallel lists of offsets and of running totals, with a first point at nothing.
function running(offsets, amounts, first) {
  const points = [[first, 0]];
  let sum = 0;
  offsets.forEach((offset, i) => {
    sum += Number(amounts[i]); // a pixel's precision is enough for a line
    if (offset - 1 > points[points.length - 1][0]) points.push([offset - 1, points[points.length - 1][1]]);
    points.push([offset, sum]);
  });
  return points;
}

const path = (frame, points) => points.map(([at, value], i) => (i ? "L" : "M") + frame.x(at).toFixed(1) + " " + frame.y(value).toFixed(1)).join("");

export function valueAt(points, offset) {
  let low = 0, high = points.length - 1;
  if (!points.length || points[0][0] > offset) return 0;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (points[middle][0] <= offset) low = middle; else high = middle - 1;
  }
  return points[low][1];
}

function bounds(pace) {
  const before = pace.before.offset, own = pace.offset;
  const firsts = [own[0], before[0]].filter((each) => each !== undefined);
  const lasts = [own[own.length - 1], before[before.length - 1], pace.now ?? undefined].filter((each) => each !== undefined);
  const last = lasts.length ? Math.max(...lasts) : 1;
  const first = firsts.length ? Math.min(...firsts) - 1 : last - 1;
  const least = { minute: 20, hour: 4, day: 1 }[pace.unit];
  return [Math.min(first, last - least), last];
}

// The day's sales up to now over the comparison's whole day.
export function drawPace(place, overview, describe) {
  const { pace, currency } = overview;
  const [first, last] = bounds(pace);
  const points = running(pace.offset, pace.revenue, first);
  const before = running(pace.before.offset, pace.before.revenue, first);
  const end = pace.now === null ? points[points.length - 1][0] : Math.min(pace.now, last);
  const total = points[points.length - 1][1];
  if (end > points[points.length - 1][0]) points.push([end, total]);
  const frame = new Frame(place, first, last, Math.max(total, before[before.length - 1][1]) * 1.05);
  const line = path(frame, points);
  const shown = [...frame.grid((mark) => short(mark)), ...frame.axis(pace)];
  if (pace.before.offset.length) shown.push(s("path", { class: "before", d: path(frame, before) }));
  if (pace.offset.length) {
    shown.push(
      s("path", { class: "area", d: line + `L${frame.x(end)} ${frame.floor}L${frame.x(points[0][0])} ${frame.floor}Z` }),
      s("path", { class: "line", d: line }),
      s("circle", { class: "halo", cx: frame.x(end), cy: frame.y(total), r: 8 }),
      s("circle", { class: "dot", cx: frame.x(end), cy: frame.y(total), r: 4.5 }),
    );
    const label = describe.end(when(pace, end));
    const left = frame.x(end) > frame.width * 0.3;
    const at = { x: frame.x(end) + (left ? -10 : 12), y: Math.max(frame.y(total) - 10, 12), "text-anchor": left ? "end" : "start" };
    shown.push(s("text", { class: "label", ...at }, label));
  }
  show(place, frame, shown, describe.text, (offset) => {
    const at = Math.min(Math.max(offset, first), last);
    const lines = [when(pace, at)];
    if (at <= end) lines.push(describe.now + " " + money(String(valueAt(points, at).toFixed(2)), currency));
    if (pace.before.offset.length) lines.push(describe.before + " " + money(String(valueAt(before, at).toFixed(2)), currency));
    return lines;
  });
}

// Receipts per unit of the axis, in as many bars as there is room for.
export function drawRate(place, overview, describe) {
  const { pace } = overview;
  const [first, last] = bounds(pace);
  const room = Math.max(20, (place.clientWidth - 50) / 5);
  const width = pace.unit === "minute" ? [1, 2, 5, 10, 15, 30].find((each) => (last - first) / each <= room) || 60 : 1;
  const bin = (offsets, values) => {
    const sums = new Map();
    offsets.forEach((offset, i) => {
      const at = Math.floor(offset / width) * width;
      sums.set(at, (sums.get(at) || 0) + values[i]);
    });
    return sums;
  };
  const now = bin(pace.offset, pace.receipts), before = bin(pace.before.offset, pace.before.receipts);
  const top = Math.max(1, ...[...now.values(), ...before.values()].map((sum) => sum / width));
  const frame = new Frame(place, Math.floor(first / width) * width, last + width, top);
  const each = Math.max(1, frame.x(frame.first + width) - frame.x(frame.first) - (width === 1 && last - first > room ? 0 : 1));
  const bars = [...now].map(([at, sum]) =>
    s("rect", { class: "bar", x: frame.x(at), y: frame.y(sum / width), width: each, height: Math.max(0, frame.floor - frame.y(sum / width)) }));
  const middle = [...before].sort((a, b) => a[0] - b[0]).map(([at, sum]) => [at + width / 2, sum / width]);
  const shown = [...frame.grid((mark) => short(mark)), ...frame.axis(pace), ...bars];
  if (middle.length > 1) shown.push(s("path", { class: "before", d: path(frame, middle) }));
  show(place, frame, shown, describe.text, (offset) => {
    const at = Math.floor(offset / width) * width;
    const rate = (sums) => count(Math.round(((sums.get(at) || 0) / width) * 10) / 10);
    return [when(pace, at), describe.now + " " + rate(now), ...(before.size ? [describe.before + " " + rate(before)] : [])];
  });
}

function show(place, frame, shown, description, tell) {
  const svg = frame.svg(shown, description);
  let tip = place.querySelector(".tip");
  if (!tip) {
    tip = h("div", { class: "tip", hidden: true });
    place.append(tip);
  }
  place.querySelector("svg")?.remove();
  place.prepend(svg);
  const move = (clientX) => {
    const x = clientX - place.getBoundingClientRect().left;
    place.dataset.at = clientX;
    const lines = tell(Math.round(frame.offset(x)));
    tip.replaceChildren(...lines.map((text, i) => h(i ? "span" : "b", {}, text)));
    tip.hidden = false;
    tip.style.left = Math.min(Math.max(x + 12, 0), frame.width - tip.offsetWidth - 4) + "px";
  };
  place.onpointermove = (event) => move(event.clientX);
  place.onpointerleave = () => { tip.hidden = true; delete place.dataset.at; };
  if (place.dataset.at) move(Number(place.dataset.at));
}

// A line without axes: the shape is all that it tells.
export function spark(values, width = 64, height = 18) {
  const numbers = values.map((value) => Number(value || 0));
  const top = Math.max(...numbers, 1e-9), low = Math.min(...numbers, 0);
  const points = numbers.map((value, i) =>
    ((i / Math.max(1, numbers.length - 1)) * (width - 2) + 1).toFixed(1) + "," + (height - 2 - ((value - low) / (top - low)) * (height - 4)).toFixed(1));
  const size = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
  return s("svg", { class: "spark", ...size }, s("polyline", { points: points.join(" ") }));
}

// Hours across, categories down; the deeper the colour, the more was sold. Each cell says its amount.
export function heat(overview) {
  const { hours, rows } = overview.hours;
  const top = Math.max(1, ...rows.flatMap((row) => row.revenue.map((value) => Number(value || 0))));
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "sr" }, word("category"))), ...hours.map((hour) => h("th", { scope: "col" }, String(hour))));
  const body = rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.category), ...row.revenue.map((value, i) => {
    const text = value === null ? "–" : money(value, overview.currency);
    const depth = Math.max(0, Number(value || 0)) / top;
    return h("td", { title: `${row.category}, ${hours[i]} h: ${text}`, style: `--depth:${(depth ** 0.7 * 100).toFixed(0)}%` }, h("span", { class: "sr" }, text));
  })));
  return h("table", { class: "heat" }, h("thead", {}, head), h("tbody", {}, ...body));
}
