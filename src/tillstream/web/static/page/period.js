// Which days, which comparison and which part of the chain the page shows: all of it stands in its address.
import { $, h } from "./dom.js";
import { dayName, days, shifted, spanName } from "./format.js";
import { word } from "./words.js";

const PLACES = [
  [/^\/regions\/([^/]+)$/, ["region"]],
  [/^\/shops\/([^/]+)\/tills\/([^/]+)$/, ["store", "till"]],
  [/^\/shops\/([^/]+)$/, ["store"]],
  [/^\/categories\/([^/]+)$/, ["category"]],
  [/^\/products\/([^/]+)$/, ["product"]],
];

export function scope() {
  for (const [pattern, names] of PLACES) {
    const found = location.pathname.match(pattern);
    if (found) return Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])]));
  }
  return {};
}

export function period() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(["day", "from", "to", "vs"].filter((name) => given.get(name)).map((name) => [name, given.get(name)]));
}

export const query = () => new URLSearchParams({ ...period(), ...scope() }).toString();
export const isHome = () => query() === "";

export function address(path, filters) {
  const search = new URLSearchParams(filters).toString();
  return path + (search ? "?" + search : "");
}

// The address of another place, for the same days.
export const link = (path, more = {}) => address(path, { ...period(), ...more });

const segment = (text) => encodeURIComponent(text);
export const places = {
  region: (each) => link("/regions/" + segment(each)),
  store: (each) => link("/shops/" + segment(each)),
  till: (store, each) => link("/shops/" + segment(store) + "/tills/" + segment(each)),
  category: (each) => link("/categories/" + segment(each)),
  product: (each) => link("/products/" + segment(each)),
  receipt: (key) => "/receipts/" + segment(key),
};

// Show other days without a reload; Back returns.
export function go(wantedPeriod, changed) {
  const given = new URLSearchParams(location.search);
  for (const name of ["day", "from", "to", "vs"]) given.delete(name);
  for (const [name, value] of Object.entries(wantedPeriod)) if (value) given.set(name, value);
  const search = given.toString();
  history.pushState(null, "", location.pathname + (search ? "?" + search : ""));
  changed();
}

const asPeriod = (from, to, today, vs) => ({ ...(from === to ? (from === today ? {} : { day: from }) : { from, to }), vs });

// The picker: a dialog with dates and the spans that people ask for most.
export function picker(changed) {
  const dialog = $("period-dialog");
  const [from, to, vs] = ["period-from", "period-to", "period-vs"].map((id) => {
    const input = h("input", { type: "date", id });
    $("slot-" + id).append(input);
    return input;
  });
  let today = null;
  const close = () => dialog.close();
  const choose = (first, last, against) => { close(); go(asPeriod(first, last, today, against), changed); };
  $("period").addEventListener("click", () => { if (today) dialog.showModal(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });
  $("period-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!from.value) return;
    const last = to.value && to.value >= from.value ? to.value : from.value;
    choose(from.value, last, vs.dataset.touched ? vs.value : "");
  });
  vs.addEventListener("input", () => { vs.dataset.touched = "1"; });
  from.addEventListener("input", () => { if (to.value < from.value || !to.dataset.touched) to.value = from.value; });
  to.addEventListener("input", () => { to.dataset.touched = "1"; });
  $("period-close").addEventListener("click", close);
  const quick = {
    today: () => [today, today],
    yesterday: () => [shifted(today, -1), shifted(today, -1)],
    last_7_days: () => [shifted(today, -6), today],
    last_28_days: () => [shifted(today, -27), today],
    this_month: () => [today.slice(0, 8) + "01", today],
  };
  $("period-quick").replaceChildren(...Object.entries(quick).map(([name, span]) => {
    const button = h("button", { type: "button", "data-word": name }, word(name));
    button.addEventListener("click", () => choose(...span(), ""));
    return button;
  }));
  return (shown, now) => {
    today = now;
    from.value = shown.from; to.value = shown.to; vs.value = shown.vs.from;
    from.max = to.max = now;
    delete vs.dataset.touched; delete to.dataset.touched;
  };
}

// The pills and arrows around the picker.
export function showPeriod(shown, today) {
  const length = days(shown.from, shown.to);
  $("period-name").textContent = spanName(shown.from, shown.to);
  $("vs-name").textContent = spanName(shown.vs.from, shown.vs.to);
  const at = (first) => {
    const last = shifted(first, length - 1), given = new URLSearchParams(location.search);
    for (const name of ["day", "from", "to", "vs"]) given.delete(name);
    for (const [name, value] of Object.entries(asPeriod(first, last, today))) if (value) given.set(name, value);
    return location.pathname + (given.toString() ? "?" + given : "");
  };
  $("day-before").href = at(shifted(shown.from, -length));
  const next = shifted(shown.from, length);
  $("day-after").toggleAttribute("hidden", next > today);
  $("day-after").href = at(next);
}

export const against = (shown) => (shown.from === shown.to ? dayName(shown.vs.from) : spanName(shown.vs.from, shown.vs.to));
