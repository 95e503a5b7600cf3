// "Needs a look": alerts, what was set aside, and what arrived for other days, in a shop manager's words.
import { $, h, rows } from "./dom.js";
import { count, dayName } from "./format.js";
import { address, scope } from "./period.js";
import { word } from "./words.js";

const SHOWN = 8;

function item(kind, title, note, href) {
  const parts = [h("b", {}, title), h("span", { class: "note" }, note)];
  return h("li", {}, href ? h("a", { href, class: kind }, ...parts) : h("p", { class: kind }, ...parts));
}

function ofAlert(alert) {
  const values = Object.fromEntries(Object.entries(alert.values).map(([name, value]) => [name, typeof value === "number" ? count(value) : value]));
  const since = alert.since.slice(11, 16);
  const said = { ...values, title: alert.title, since };
  return item(alert.level, word("alert_" + alert.rule + "_title", said), word("alert_" + alert.rule, said), alert.link);
}

function ofOthers(days) {
  const total = days.reduce((sum, each) => sum + each.receipts, 0);
  const title = word("other_days", { count: total, number: count(total) });
  if (days.length === 1) return [item("warn", title, dayName(days[0].day), "/?day=" + days[0].day)];
  const all = item("warn", title, word("on_days", { count: days.length, number: count(days.length) }), "/receipts?arrived=today");
  return [all, ...days.slice(0, 3).map((each) => item("warn", dayName(each.day), word("receipts_counted", { count: each.receipts, number: count(each.receipts) }), "/?day=" + each.day))];
}

// Odd receipts are listed by shop and till; of a region, a category or a product all of the day are.
function anomalous(day) {
  const { store, till } = scope();
  return { ...day, ...(store ? { store } : {}), ...(till ? { till } : {}) };
}

export function attention(overview, alerts, today) {
  // The lists are of one day, or of all.
  const { counters } = overview, day = overview.from === overview.to ? { day: overview.from } : {}, items = [];
  const numbered = (key, number) => word(key, { count: number, number: count(number) });
  items.push(...(alerts ?? []).slice(0, SHOWN).map(ofAlert));
  if ((alerts ?? []).length > SHOWN) items.push(item("warn", numbered("more_alerts", alerts.length - SHOWN), "", "/alerts"));
  if (overview.other_days?.length) items.push(...ofOthers(overview.other_days).map((each) => each));
  const waiting = counters?.waiting;
  if (waiting?.quarantined) items.push(item("bad", numbered("refused", waiting.quarantined), word("refused_note"), address("/quarantine", day)));
  if (waiting?.conflicts) items.push(item("bad", numbered("conflicts", waiting.conflicts), word("conflicts_note"), address("/quarantine", { kind: "conflict", ...day })));
  if (counters?.anomalies) items.push(item("warn", numbered("anomalies", counters.anomalies), word("anomalies_note"), address("/anomalies", anomalous(day))));
  if (!items.length) items.push(item("good", word("all_well"), word("all_well_note")));
  for (const each of items) for (const a of each.querySelectorAll('a[href="/receipts?arrived=today"]')) a.href = "/receipts?arrived=" + today;
  rows($("look"), items);
}
