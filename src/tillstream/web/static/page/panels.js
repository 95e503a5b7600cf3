// Fills the panels below the figures: plots, rankings and lists.
import { $, h, prefersReducedMotion, replaceContent } from "./dom.js";
import { changeElement } from "./figures.js";
import { count, dayName, money, percent, roundMoney, time, timeWithSeconds } from "./format.js";
import { t } from "./i18n.js";
import { comparedDays, placeOf, places, query } from "./period.js";
import { drawPace, drawRate, heatMap, spark } from "./plots.js";

/** @import { ElementId } from "./dom.js" */
/** @import { Overview, Product } from "./types" */

const PAYMENT_COLOURS = 5;

/**
 * Returns the name of the selected days in a plot.
 * @param {Overview} overview
 */
const shownDays = ({ live }) => (live ? t("today") : t("shown_days"));

/** @param {Overview} overview */
export function pace(overview) {
  const { from, to, vs, tiles, currency, live } = overview;
  const before = from === to ? dayName(vs.from) : comparedDays(overview);
  const description = t("pace_text", { amount: money(tiles.revenue.value, currency), day: before });
  /** @param {string} at */
  const end = (at) => (live ? t("now_at", { time: at }) : at);
  drawPace($("pace"), overview, { end, now: shownDays(overview), before, description });
  replaceContent($("pace-note"), vs.empty ? t("cumulative_sales") : t("cumulative_sales_against", { day: before }));
}

/** @param {Overview} overview */
export function rate(overview) {
  const { pace: course, tiles } = overview;
  // A category or a product has no receipts of its own.
  if (!course.receipts) {
    return;
  }
  const description = t("rate_text", { count: count(tiles.receipts?.value ?? 0) });
  drawRate($("rate"), overview, { now: shownDays(overview), before: comparedDays(overview), description });
  const titles = { minute: "receipts_per_minute", hour: "receipts_per_hour", day: "receipts_per_day" };
  replaceContent($("rate-title"), t(titles[course.unit]));
}

/**
 * Returns two bars: the amount, and below it the amount to compare with.
 * @param {string} value
 * @param {string | null} before
 * @param {number} top
 */
function bars(value, before, top) {
  /** @param {string | null} amount */
  const width = (amount) => `width:${Math.max(0, Math.min(100, (Number(amount ?? 0) / top) * 100)).toFixed(1)}%`;
  const bar = h("i", { style: width(value) });
  return h("span", { class: "bars", "aria-hidden": "true" }, bar, h("i", { class: "ref", style: width(before) }));
}

/** @param {Overview} overview */
export function categories({ categories: list, currency }) {
  const top = Math.max(0.01, ...list.flatMap((each) => [Number(each.revenue), Number(each.before ?? 0)]));
  const rows = list.map(({ category, revenue, before, quantity, change }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: places.category(category) }, category)),
      h("td", { class: "plot" }, bars(revenue, before, top)),
      h("td", { class: "number" }, roundMoney(revenue, currency)),
      h("td", { class: "number muted optional" }, count(quantity)),
      h("td", { class: "number" }, changeElement(change)),
    ),
  );
  replaceContent($("categories"), ...rows);
}

/** @param {Overview} overview */
export function hours(overview) {
  const isEmpty = overview.hours.rows.length === 0;
  replaceContent($("hours"), isEmpty ? h("p", { class: "note" }, t("nothing_yet")) : heatMap(overview));
}

/** @param {Overview} overview */
export function shops({ shops: ranking, currency }) {
  const { best, worst } = ranking ?? { best: [], worst: [] };
  const rows = [...best, ...worst].map(({ store, title, hours: sold, revenue, change }, i) =>
    h(
      "tr",
      // A gap separates the best shops from the worst.
      { class: best.length > 0 && i === best.length ? "separated" : null },
      h("th", { scope: "row" }, h("a", { href: places.store(store) }, title)),
      h("td", { class: "optional" }, spark(sold)),
      h("td", { class: "number" }, roundMoney(revenue, currency)),
      h("td", { class: "number" }, changeElement(change)),
    ),
  );
  replaceContent($("shops"), ...rows);
}

/** @param {Overview} overview */
export function tills({ tills: list, scope, currency }) {
  const rows = (list ?? []).map(({ till, receipts, revenue, last }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("a", { href: places.till(scope.store ?? "", till) }, t("till_name", { till }))),
      h("td", { class: "number" }, count(receipts)),
      h("td", { class: "number" }, money(revenue, currency)),
      h("td", { class: "number muted" }, last ? time(last) : "–"),
    ),
  );
  replaceContent($("tills"), ...rows);
}

/** @param {Overview} overview */
export function products({ products: lists, currency }) {
  /**
   * @param {ElementId} id
   * @param {Product[]} list
   */
  const show = (id, list) => {
    const rows = list.map(({ product, description, quantity, revenue, change }) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("a", { href: places.product(product) }, description || product)),
        h("td", { class: "number muted optional" }, count(quantity)),
        h("td", { class: "number" }, roundMoney(revenue, currency)),
        h("td", { class: "number" }, changeElement(change)),
      ),
    );
    replaceContent($(id), ...rows);
  };
  show("top", lists?.top ?? []);
  show("sinking", lists?.sinking ?? []);
}

/** @param {Overview} overview */
export function payments({ payments: list, currency }) {
  const shown = (list ?? []).map((each, i) => ({ ...each, colour: `pay${Math.min(i, PAYMENT_COLOURS - 1)}` }));
  const stack = shown.map(({ colour, share }) =>
    h("i", { class: colour, style: `flex-grow:${Math.max(0, Number(share ?? 0))}` }),
  );
  replaceContent($("payments-bar"), ...stack);
  const facts = shown.flatMap(({ colour, mechanism, revenue, share }) => {
    const beside = h("span", { class: "note" }, share === null ? "" : ` · ${percent(share)}`);
    return [
      h("dt", {}, h("i", { class: `swatch ${colour}` }), mechanism),
      h("dd", {}, money(revenue, currency), beside),
    ];
  });
  replaceContent($("payments"), ...facts);
}

/** @param {Overview} overview */
export function vat({ vat: list, currency }) {
  const facts = list.flatMap(({ rate: text, tax, net }) => {
    const beside = h("span", { class: "note" }, ` · ${t("on_net", { amount: money(net, currency) })}`);
    // Lines without a rate have a name instead of a number.
    return [h("dt", {}, /^\d/.test(text) ? percent(text) : text), h("dd", {}, money(tax, currency), beside)];
  });
  replaceContent($("rates"), ...facts);
}

/** @type {Set<string>} */
let knownReceipts = new Set();

/** @param {Overview} overview */
export function latest({ latest: list, currency }) {
  const animates = knownReceipts.size > 0 && !prefersReducedMotion();
  const items = list.map(({ key, sold, title, till, gross, what, anomalous }) => {
    const flag = anomalous && h("span", { class: "flag", title: t("has_anomaly") }, " ⚑");
    const link = h(
      "a",
      { href: places.receipt(key) },
      h("time", {}, timeWithSeconds(sold)),
      h("span", { class: "place" }, `${title} · ${t("till_name", { till })}`, flag),
      h("span", { class: gross.startsWith("-") ? "number negative" : "number" }, money(gross, currency)),
      h("span", { class: "content" }, what),
    );
    return h("li", { class: animates && !knownReceipts.has(key) ? "new" : null }, link);
  });
  replaceContent($("latest"), ...items);
  knownReceipts = new Set(list.map(({ key }) => key));
}

/**
 * Shows links to all parts of the chain that contain the selected part.
 * @param {Overview} overview
 */
export function crumbs({ scope }) {
  $("crumbs").hidden = scope.kind === "chain";
  if (scope.kind === "chain") {
    return;
  }
  const parents = scope.parents.map((parent) => h("a", { href: placeOf(parent) }, parent.title));
  const links = [h("a", { href: places.chain() }, t("all_shops")), ...parents];
  const separated = links.flatMap((link) => [link, h("span", { class: "separator", "aria-hidden": "true" }, "›")]);
  const name = scope.kind === "till" ? t("till_name", { till: scope.till }) : scope.title;
  const city = scope.city && scope.city !== scope.title && h("span", { class: "note" }, scope.city);
  replaceContent($("crumbs"), ...separated, h("h1", {}, name), city);
}

/** @param {Overview} overview */
const isOfLines = ({ scope }) => ["category", "product"].includes(scope.kind);

/** @type {[ElementId, (overview: Overview) => boolean][]} */
const SHOWN_IF = [
  ["card-categories", (overview) => overview.categories.length > 0 && !isOfLines(overview)],
  ["card-hours", ({ hours: { rows } }) => rows.length > 0],
  ["card-shops", ({ shops: ranking }) => ranking !== null && ranking.best.length + ranking.worst.length > 0],
  ["card-tills", ({ tills: list }) => list !== null && list.length > 0],
  ["card-products", ({ products: lists, scope }) => scope.kind !== "product" && (lists?.top.length ?? 0) > 0],
  ["products-sinking", ({ products: lists }) => (lists?.sinking.length ?? 0) > 0],
  ["card-payments", ({ payments: list }) => list !== null && list.length > 0],
  ["card-rate", ({ pace: { receipts } }) => receipts !== null],
  ["card-vat", ({ vat: list }) => list.length > 0],
  ["card-latest", ({ latest: list }) => list.length > 0],
];

/**
 * Hides the panels without content, and links each panel to its CSV file.
 * @param {Overview} overview
 */
export function arrange(overview) {
  for (const [id, isShown] of SHOWN_IF) {
    $(id).hidden = !isShown(overview);
  }
  $("page").classList.toggle("lines-only", isOfLines(overview));
  for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("a.csv"))) {
    link.href = `/api/v1/overview/${link.dataset.panel}.csv?${query()}`;
  }
}
