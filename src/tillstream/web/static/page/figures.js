// Fills the top of the page: the sales and the tiles.
import { $, h, prefersReducedMotion, replaceContent } from "./dom.js";
import { count, dayName, decimal, duration, money, moneyParts, rated, weekday } from "./format.js";
import { t } from "./i18n.js";
import { comparedDays } from "./period.js";
import { spark } from "./plots.js";

/** @import { Child } from "./dom.js" */
/** @import { Figure, Overview } from "./types" */

const ANIMATION_MS = 400;
const LONG_AMOUNT = 12; // An amount with more characters than this is written smaller.

/**
 * Returns a change with its sign in the colour for better or worse, or nothing if there is no change.
 * @param {string | null | undefined} value
 * @param {boolean} [upIsGood]
 */
export function changeElement(value, upIsGood = true) {
  const [text, direction] = rated(value, upIsGood);
  const colours = /** @type {Record<string, string>} */ ({ 1: "good", [-1]: "bad" });
  return text ? h("span", { class: `change ${colours[direction] ?? ""}` }, text) : null;
}

/**
 * Returns the days that are compared with, with their full names.
 * @param {Overview} overview
 */
function comparison(overview) {
  const { vs } = overview;
  const day = comparedDays(overview);
  if (vs.empty) {
    return t("no_comparison", { day });
  }
  return vs.until ? t("versus_until", { day, time: vs.until }) : t("versus", { day });
}

/**
 * Returns the days that are compared with, short enough for a tile.
 * @param {Overview} overview
 */
function shortComparison(overview) {
  const { vs, from, to } = overview;
  if (vs.empty || from !== to) {
    return comparison(overview);
  }
  if (vs.until) {
    return t("versus_until", { day: weekday(vs.from), time: vs.until }).replace(",", "");
  }
  return t("versus", { day: dayName(vs.from) });
}

/**
 * @param {string} text days compared with
 * @param {{ change: string | null }} figure
 * @param {boolean} [upIsGood]
 * @returns {Child[]}
 */
function note(text, figure, upIsGood = true) {
  const change = changeElement(figure.change, upIsGood);
  return change ? [change, ` ${text}`] : [text];
}

let animation = 0;

/**
 * Shows an amount. The digits count from the previous amount to the new one.
 * @param {HTMLElement} element
 * @param {string} amount
 * @param {string} currency
 */
function showAmount(element, amount, currency) {
  /** @param {string} value */
  const show = (value) => {
    const [whole, rest] = moneyParts(value, currency);
    element.classList.toggle("long", whole.length + rest.length > LONG_AMOUNT);
    replaceContent(element, whole, h("small", {}, rest));
  };
  const from = Number(element.dataset.amount ?? Number.NaN);
  const to = Number(amount);
  element.dataset.amount = amount;
  cancelAnimationFrame(animation);
  if (Number.isNaN(from) || from === to || prefersReducedMotion() || document.hidden) {
    show(amount);
    return;
  }
  const startedAt = performance.now();
  const digits = (amount.split(".")[1] ?? "").length;
  /** @param {number} now */
  const step = (now) => {
    const part = Math.min(1, (now - startedAt) / ANIMATION_MS);
    if (part === 1) {
      show(amount);
      return;
    }
    show((from + (to - from) * (1 - (1 - part) ** 3)).toFixed(digits));
    animation = requestAnimationFrame(step);
  };
  animation = requestAnimationFrame(step);
}

/**
 * Shows the title of the sales.
 * @param {Overview} overview
 */
function salesTitle({ from, to, live }) {
  if (from !== to) {
    return t("sales_of_span");
  }
  return live ? t("sales_so_far") : t("sales_of", { day: dayName(from) });
}

/**
 * Shows the sales with net, VAT and refunds.
 * @param {Overview} overview
 */
export function hero(overview) {
  const { tiles, currency } = overview;
  replaceContent($("revenue-title"), salesTitle(overview));
  showAmount($("revenue"), tiles.revenue.value, currency);
  replaceContent($("revenue-note"), ...note(comparison(overview), tiles.revenue));
  /**
   * @param {string} name
   * @param {string} amount
   * @param {Child[]} more
   */
  const fact = (name, amount, ...more) => [
    h("dt", {}, t(name)),
    h("dd", { id: name }, money(amount, currency), ...more),
  ];
  const { refunds } = tiles;
  const number = refunds?.count ? ` · ${count(refunds.count)}` : "";
  replaceContent(
    $("facts"),
    ...fact("net", tiles.net.value),
    ...fact("vat", tiles.tax.value),
    ...(refunds ? fact("refunds", refunds.value, h("span", { class: "note" }, number)) : []),
  );
}

/** @typedef {"receipts" | "average-ticket" | "items-per-ticket" | "quantity"} ComparedTile */
/** @typedef {ComparedTile | "receipts-per-minute" | "shops" | "delay"} TileName */

/**
 * Fills a tile, or hides it if there is no value.
 * @param {TileName} name
 * @param {Child[] | null} value
 * @param {Child[]} [beside]
 */
function tile(name, value, beside = []) {
  const card = $(`tile-${name}`);
  card.hidden = value === null;
  if (value === null) {
    return;
  }
  const figure = /** @type {HTMLElement} */ (card.querySelector(".value"));
  replaceContent(figure, ...value);
  figure.style.setProperty("--length", String(figure.textContent?.length));
  replaceContent(/** @type {HTMLElement} */ (card.querySelector(".note")), ...beside);
}

/**
 * Fills the tiles. A part of the chain has only some of them.
 * @param {Overview} overview
 */
export function tiles(overview) {
  const { tiles: all, currency } = overview;
  const compared = shortComparison(overview);
  /**
   * @template Value
   * @param {ComparedTile} name
   * @param {Figure<Value> | null} figure
   * @param {(value: Value) => string} format
   */
  const compare = (name, figure, format) =>
    tile(name, figure && [format(figure.value)], figure ? note(compared, figure) : []);
  compare("receipts", all.receipts, count);
  compare("average-ticket", all.average_ticket, (value) => money(value, currency));
  compare("items-per-ticket", all.items_per_ticket, (value) => (value === null ? "–" : decimal(value)));
  // If receipts cannot be counted, the number of pieces is shown.
  compare("quantity", all.receipts ? null : all.quantity, count);
  rateTile(overview);
  shopsTile(overview);
  delayTile(overview);
}

/** @param {Overview} overview */
function rateTile({ tiles: { receipts_per_minute: rate } }) {
  const trend = rate?.trend ? [h("span", {}, t("last_60_minutes")), spark(rate.trend, 150, 26)] : [];
  tile("receipts-per-minute", rate && rate.value !== null ? [count(rate.value)] : null, trend);
}

/** @param {Overview} overview */
function shopsTile({ tiles: { shops, tills } }) {
  if (!shops) {
    tile("shops", null);
    return;
  }
  const reporting = tills ? [t("tills_reporting", { count: tills.value, number: count(tills.value) })] : [];
  const silent = h("span", { class: "bad" }, t("silent", { count: shops.silent }));
  const value = [count(shops.value), h("small", {}, ` / ${count(shops.known)}`)];
  tile("shops", value, shops.silent ? [silent, ` ${t("over_20_minutes")}`] : reporting);
}

/** @param {Overview} overview */
function delayTile({ tiles: { ingest_delay_ms: ingest, till_delay_s: till } }) {
  const p99 = ingest?.p99 ?? null;
  const late = till?.p99 ?? null;
  const beside = late === null ? t("received_to_visible") : t("printed_to_received", { span: duration(late * 1000) });
  tile("delay", p99 === null ? null : [duration(p99), h("small", {}, " p99")], [beside]);
}
