// Each panel from the overview: what it shows is said once here, whatever part of the chain it is of.
import { $, h, reducedMotion, rows, say } from "./dom.js";
import { changed, count, dayName, decimal, money, moneyParts, roundMoney, share, span, weekday } from "./format.js";
import { against, places, query } from "./period.js";
import { drawPace, drawRate, heat, spark } from "./plots.js";
import { word } from "./words.js";

function change(value, upIsGood = true, more = "") {
  const [text, direction] = changed(value, upIsGood);
  if (!text) return null;
  return h("span", { class: "change " + (direction > 0 ? "good" : direction < 0 ? "bad" : "") }, text + more);
}

export function versus(overview) {
  const { vs } = overview;
  if (vs.empty) return word("no_comparison", { day: against(overview) });
  return vs.until ? word("versus_until", { day: against(overview), time: vs.until }) : word("versus", { day: against(overview) });
}

// In a tile there is room for the weekday only; the hero and the pill above say the date.
function versusShort(overview) {
  const { vs } = overview;
  if (vs.empty || overview.from !== overview.to) return versus(overview);
  return vs.until ? word("versus_until", { day: weekday(vs.from), time: vs.until }).replace(",", "") : word("versus", { day: dayName(vs.from) });
}

const note = (overview, tile, upIsGood = true, against = versusShort) => {
  const found = change(tile.change, upIsGood);
  return found ? [found, " " + against(overview)] : [against(overview)];
};

// A number that changes runs to its new value, where motion is welcome.
let running = 0;
function tick(element, amount, currency) {
  const show = (value) => {
    const [whole, rest] = moneyParts(value, currency);
    element.classList.toggle("long", (whole + rest).length > 12);
    return say(element, whole, h("small", {}, rest));
  };
  const from = Number(element.dataset.amount ?? NaN), to = Number(amount);
  element.dataset.amount = amount;
  cancelAnimationFrame(running);
  if (Number.isNaN(from) || from === to || reducedMotion() || document.hidden) return show(amount);
  const began = performance.now(), digits = (amount.split(".")[1] || "").length;
  const step = (now) => {
    const part = Math.min(1, (now - began) / 400);
    if (part === 1) return show(amount);
    show((from + (to - from) * (1 - (1 - part) ** 3)).toFixed(digits));
    running = requestAnimationFrame(step);
  };
  running = requestAnimationFrame(step);
}

export function hero(overview) {
  const { tiles, currency } = overview;
  const one = overview.from === overview.to;
  say($("revenue-title"), overview.live ? (one ? word("sales_so_far") : word("sales_of_span")) : one ? word("sales_of", { day: dayName(overview.from) }) : word("sales_of_span"));
  tick($("revenue"), tiles.revenue.value, currency);
  say($("revenue-note"), ...note(overview, tiles.revenue, true, versus));
  const facts = [];
  const fact = (name, value, ...more) => facts.push(h("dt", {}, word(name)), h("dd", { id: name }, value, ...more));
  fact("net", money(tiles.net.value, currency));
  fact("vat", money(tiles.tax.value, currency));
  if (tiles.refunds) fact("refunds", money(tiles.refunds.value, currency), h("span", { class: "note" }, tiles.refunds.count ? " · " + count(tiles.refunds.count) : ""));
  rows($("facts"), facts);
}

export function pace(overview) {
  const name = overview.from === overview.to ? dayName(overview.vs.from) : against(overview);
  const now = overview.live ? word("today") : word("this_span");
  const end = (at) => (overview.live ? word("now_at", { time: at }) : at);
  const text = word("pace_text", { amount: money(overview.tiles.revenue.value, overview.currency), day: name });
  drawPace($("pace"), overview, { end, now, before: name, text });
  say($("pace-note"), overview.vs.empty ? word("cumulative") : word("cumulative_against", { day: name }));
}

export function rate(overview) {
  if (!overview.pace.receipts) return; // lines are no receipts
  const now = overview.live ? word("today") : word("this_span");
  drawRate($("rate"), overview, { now, before: against(overview), text: word("rate_text", { count: count(overview.tiles.receipts?.value ?? 0) }) });
  say($("rate-title"), word(overview.pace.unit === "minute" ? "receipts_a_minute" : overview.pace.unit === "hour" ? "receipts_an_hour" : "receipts_a_day"));
}

function tile(name, value, ...parts) {
  const card = $("tile-" + name);
  if (!card) return;
  card.hidden = value === null;
  if (value === null) return;
  const figure = card.querySelector(".value");
  say(figure, ...[value].flat());
  figure.style.setProperty("--length", figure.textContent.length);
  say(card.querySelector(".note"), ...parts.flat().filter((part) => part !== null));
}

export function tiles(overview) {
  const { tiles: all, currency } = overview;
  const of = (name, write, upIsGood = true) => tile(name.replaceAll("_", "-"), all[name] ? write(all[name].value) : null, all[name] ? note(overview, all[name], upIsGood) : []);
  of("receipts", count);
  of("average_ticket", (value) => money(value, currency));
  of("items_per_ticket", (value) => (value === null ? "–" : decimal(value)));
  tile("quantity", all.receipts ? null : count(all.quantity.value), all.receipts ? [] : note(overview, all.quantity));
  const minute = all.receipts_per_minute;
  tile("receipts-per-minute", !minute || minute.value === null ? null : count(minute.value), minute?.trend ? [h("span", {}, word("last_60_minutes")), spark(minute.trend, 150, 26)] : []);
  const shops = all.shops;
  tile("shops", shops ? [count(shops.value), h("small", {}, " / " + count(shops.known))] : null,
    !shops ? [] : shops.silent ? [h("span", { class: "bad" }, word("silent", { count: shops.silent })), " " + word("over_20_minutes")] : [word("tills_selling", { count: all.tills.value, number: count(all.tills.value) })]);
  const ingest = all.ingest_delay_ms, till = all.till_delay_s;
  const late = till && till.p99 !== null ? word("printed_to_received", { span: span(till.p99 * 1000) }) : word("received_to_visible");
  tile("delay", ingest && ingest.p99 !== null ? [span(ingest.p99), h("small", {}, " p99")] : null, late);
}

function bars(value, before, top) {
  const width = (amount) => `width:${Math.max(0, Math.min(100, (Number(amount) / top) * 100)).toFixed(1)}%`;
  return h("span", { class: "bars", "aria-hidden": "true" }, h("i", { style: width(value) }), h("i", { class: "ref", style: width(before ?? 0) }));
}

export function categories(overview) {
  const list = overview.categories ?? [];
  const top = Math.max(0.01, ...list.flatMap((each) => [Number(each.revenue), Number(each.before ?? 0)]));
  rows($("categories"), list.map((each) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: places.category(each.category) }, each.category)),
    h("td", { class: "plot" }, bars(each.revenue, each.before, top)),
    h("td", { class: "number" }, roundMoney(each.revenue, overview.currency)),
    h("td", { class: "number mute optional" }, count(each.quantity)),
    h("td", { class: "number" }, change(each.change)))));
}

export function hours(overview) {
  const place = $("hours");
  if (overview.hours?.rows.length) say(place, heat(overview));
  else say(place, h("p", { class: "note" }, word("nothing_yet")));
}

export function shops(overview) {
  const list = [...(overview.shops?.best ?? []), ...(overview.shops?.worst ?? [])];
  rows($("shops"), list.map((each, i) => h("tr", { class: i === (overview.shops.best.length || -1) ? "parted" : null },
    h("th", { scope: "row" }, h("a", { href: places.store(each.store) }, each.title)),
    h("td", { class: "optional" }, spark(each.hours)),
    h("td", { class: "number" }, roundMoney(each.revenue, overview.currency)),
    h("td", { class: "number" }, change(each.change)))));
}

export function tillsOf(overview) {
  rows($("tills"), (overview.tills ?? []).map((each) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: places.till(overview.scope.store, each.till) }, word("till_name", { till: each.till }))),
    h("td", { class: "number" }, count(each.receipts)),
    h("td", { class: "number" }, money(each.revenue, overview.currency)),
    h("td", { class: "number mute" }, each.last ? each.last.slice(11, 16) : "–"))));
}

export function products(overview) {
  const draw = (id, list) => rows($(id), list.map((each) => h("tr", {},
    h("th", { scope: "row" }, h("a", { href: places.product(each.product) }, each.description || each.product)),
    h("td", { class: "number mute optional" }, count(each.quantity)),
    h("td", { class: "number" }, roundMoney(each.revenue, overview.currency)),
    h("td", { class: "number" }, change(each.change)))));
  draw("top", overview.products?.top ?? []);
  draw("sinking", overview.products?.sinking ?? []);
}

export function payments(overview) {
  const list = overview.payments ?? [];
  say($("payments-bar"), ...list.map((each, i) => h("i", { class: "pay" + Math.min(i, 4), style: `flex-grow:${Math.max(0, Number(each.share ?? 0))}` })));
  const facts = list.flatMap((each, i) => [
    h("dt", {}, h("i", { class: "swatch pay" + Math.min(i, 4) }), each.mechanism),
    h("dd", {}, money(each.revenue, overview.currency), h("span", { class: "note" }, each.share === null ? "" : " · " + share(each.share))),
  ]);
  rows($("payments"), facts);
}

export function vat(overview) {
  rows($("rates"), (overview.vat ?? []).flatMap((each) => [
    h("dt", {}, /^\d/.test(each.rate) ? share(each.rate) : each.rate),
    h("dd", {}, money(each.tax, overview.currency), h("span", { class: "note" }, " · " + word("on_net", { amount: money(each.net, overview.currency) }))),
  ]));
}

const drawn = new Set();
export function latest(overview) {
  const list = overview.latest ?? [], fresh = drawn.size && !reducedMotion();
  const items = list.map((each) => h("li", { class: fresh && !drawn.has(each.key) ? "arriving" : null },
    h("a", { href: places.receipt(each.key) },
      h("time", {}, each.sold.slice(11, 19)),
      h("span", { class: "where" }, each.title + " · " + word("till_name", { till: each.till }), each.anomalous ? h("span", { class: "flag", title: word("with_anomaly") }, " ⚑") : null),
      h("span", { class: "number" + (each.gross.startsWith("-") ? " negative" : "") }, money(each.gross, overview.currency)),
      h("span", { class: "what" }, each.what))));
  rows($("latest"), items);
  drawn.clear();
  for (const each of list) drawn.add(each.key);
}

export function scopeTitle(overview) {
  const { scope } = overview;
  const place = $("crumbs");
  place.hidden = scope.kind === "chain";
  if (place.hidden) return;
  const parents = [h("a", { href: places.region("").replace(/\/regions\/[^?]*/, "/") }, word("chain")), ...(scope.parents ?? []).map((each) => h("a", { href: placeOf(each) }, each.title))];
  say(place, ...parents.flatMap((each) => [each, h("span", { class: "sep", "aria-hidden": "true" }, "›")]), h("h1", {}, scope.kind === "till" ? word("till_name", { till: scope.till }) : scope.title), scope.city && scope.city !== scope.title ? h("span", { class: "note" }, scope.city) : null);
}

function placeOf(each) {
  if (each.kind === "region") return places.region(each.region);
  if (each.kind === "store") return places.store(each.store);
  return places.category(each.category);
}

const NEEDED = {
  "card-categories": (overview) => overview.categories?.length && !["category", "product"].includes(overview.scope.kind),
  "card-hours": (overview) => overview.hours?.rows.length,
  "card-shops": (overview) => overview.shops && (overview.shops.best.length + overview.shops.worst.length) > 0,
  "card-tills": (overview) => overview.tills?.length,
  "card-products": (overview) => overview.products && overview.scope.kind !== "product" && overview.products.top.length,
  "card-payments": (overview) => overview.payments?.length,
  "card-rate": (overview) => overview.pace.receipts,
  "card-vat": (overview) => overview.vat?.length,
  "card-latest": (overview) => overview.latest?.length,
};

// What the part of the chain on show doesn't have takes no place.
export function arrange(overview) {
  for (const [id, needed] of Object.entries(NEEDED)) $(id).hidden = !needed(overview);
  $("page").classList.toggle("of-lines", ["category", "product"].includes(overview.scope.kind));
  $("products-sinking").hidden = !overview.products?.sinking?.length;
  for (const link of document.querySelectorAll("a.csv")) link.href = "/api/v1/overview/" + link.dataset.panel + ".csv?" + query();
}
