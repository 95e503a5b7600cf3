// "Needs attention": alerts, quarantined receipts, anomalies, and receipts that arrived for other days.
import { $, h, replaceContent } from "./dom.js";
import { count, dayName, time } from "./format.js";
import { t } from "./i18n.js";
import { address, scope } from "./period.js";

/** @import { Alert, OtherDay, Overview } from "./types" */
/** @typedef {{ level: string, title: string, note: string, href: string }} Item */

const ALERTS_LIMIT = 8;
const OTHER_DAYS_LIMIT = 3;

/**
 * Returns a message with a number, in the right plural form.
 * @param {string} key
 * @param {number} number
 */
const counted = (key, number) => t(key, { count: number, number: count(number) });

/**
 * @param {Alert} alert
 * @returns {Item}
 */
function alertItem(alert) {
  const values = Object.entries(alert.values).map(([name, value]) => [
    name,
    typeof value === "number" ? count(value) : value,
  ]);
  const placeholders = { ...Object.fromEntries(values), title: alert.title, since: time(alert.since) };
  const key = `alert_${alert.rule}`;
  return { level: alert.level, title: t(`${key}_title`, placeholders), note: t(key, placeholders), href: alert.link };
}

/**
 * @param {OtherDay[]} days the newest first
 * @param {string} today
 * @returns {Item[]}
 */
function otherDayItems(days, today) {
  if (!days.length) {
    return [];
  }
  const receipts = days.reduce((sum, each) => sum + each.receipts, 0);
  const title = counted("other_days", receipts);
  /** @param {OtherDay} other */
  const link = ({ day }) => address("/", { day });
  if (days.length === 1) {
    return [{ level: "warn", title, note: dayName(days[0].day), href: link(days[0]) }];
  }
  const all = address("/receipts", { arrived: today });
  return [
    { level: "warn", title, note: counted("on_days", days.length), href: all },
    ...days.slice(0, OTHER_DAYS_LIMIT).map((each) => ({
      level: "warn",
      title: dayName(each.day),
      note: counted("receipts_counted", each.receipts),
      href: link(each),
    })),
  ];
}

/**
 * @param {Overview} overview
 * @param {Record<string, string>} shown the part of the chain on the page
 * @returns {Item[]}
 */
function counterItems({ counters, from, to }, shown) {
  // The linked lists show one day or all days.
  /** @type {Record<string, string>} */
  const day = from === to ? { day: from } : {};
  const { quarantined = 0, conflicts = 0 } = counters.waiting ?? {};
  const anomalies = counters.anomalies ?? 0;
  // Receipts with anomalies can be filtered by shop and till, but not by region, category or product.
  const { store, till } = shown;
  const filters = { ...day, ...(store ? { store } : {}), ...(till ? { till } : {}) };
  /** @type {[number, string, string, string][]} */
  const rows = [
    [quarantined, "bad", "refused", address("/quarantine", day)],
    [conflicts, "bad", "conflicts", address("/quarantine", { kind: "conflict", ...day })],
    [anomalies, "warn", "anomalies", address("/anomalies", filters)],
  ];
  return rows
    .filter(([number]) => number > 0)
    .map(([number, level, key, href]) => ({ level, title: counted(key, number), note: t(`${key}_note`), href }));
}

/**
 * Returns everything that needs attention, the most urgent first.
 * @param {Overview} overview
 * @param {Alert[] | null} alerts null for days that are over
 * @param {Record<string, string>} shown the part of the chain on the page
 * @returns {Item[]}
 */
export function attentionItems(overview, alerts, shown) {
  const active = alerts ?? [];
  const items = active.slice(0, ALERTS_LIMIT).map(alertItem);
  if (active.length > ALERTS_LIMIT) {
    items.push({
      level: "warn",
      title: counted("more_alerts", active.length - ALERTS_LIMIT),
      note: "",
      href: "/alerts",
    });
  }
  items.push(...otherDayItems(overview.other_days, overview.today), ...counterItems(overview, shown));
  return items.length ? items : [{ level: "good", title: t("all_clear"), note: t("all_clear_note"), href: "" }];
}

/**
 * @param {Overview} overview
 * @param {Alert[] | null} alerts
 */
export function attention(overview, alerts) {
  const items = attentionItems(overview, alerts, scope()).map(({ level, title, note, href }) => {
    const parts = [h("b", {}, title), h("span", { class: "note" }, note)];
    return h("li", {}, href ? h("a", { href, class: level }, ...parts) : h("p", { class: level }, ...parts));
  });
  replaceContent($("look"), ...items);
}
