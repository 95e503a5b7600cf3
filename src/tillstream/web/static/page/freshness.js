// Shows the age of the figures. If they are no longer updated, the whole page changes its look.
import { $, h, replaceContent } from "./dom.js";
import { age, count } from "./format.js";
import { t } from "./i18n.js";

/** @import { Overview } from "./types" */

const SILENT_MS = 12_000; // The feed sends something every 5 s, so after two missed events the connection is dead.
const BEHIND_MS = 5000;
const INTERVAL_MS = 250;

/**
 * @typedef {object} Observed
 * @property {Overview | null} overview the last one received
 * @property {number} sinceMs time since it was received
 * @property {boolean} connected
 * @property {string | null} problem why there are no figures
 */
/** @typedef {{ name: "" | "live" | "behind" | "stale", label: string, detail: string }} State */

/**
 * Returns the state, label and detail of the indicator.
 * @param {Observed} observed
 * @returns {State}
 */
export function freshness({ overview, sinceMs, connected, problem }) {
  if (problem !== null) {
    return { name: "stale", label: t("not_live"), detail: problem };
  }
  if (!overview) {
    return { name: "", label: t("connecting"), detail: "" };
  }
  const total = age(sinceMs + overview.age_ms);
  if (!connected || (overview.live && sinceMs > SILENT_MS)) {
    return { name: "stale", label: t("not_live"), detail: t("stale_age", { age: total }) };
  }
  if (!overview.live) {
    return { name: "", label: t("complete"), detail: t("as_counted") };
  }
  if (overview.age_ms > BEHIND_MS) {
    const detail = t("behind_note", { age: age(overview.age_ms), number: count(overview.lag) });
    return { name: "behind", label: t("behind"), detail };
  }
  return { name: "live", label: t("live"), detail: t("data_age", { age: total }) };
}

/** Keeps the indicator in the header current. */
export class FreshnessIndicator {
  constructor() {
    /** @type {Overview | null} */
    this.overview = null;
    this.receivedAt = 0;
    this.connected = false;
    /** @type {string | null} */
    this.problem = null;
    setInterval(() => this.show(), INTERVAL_MS);
  }

  /** @param {Overview} overview */
  received(overview) {
    this.overview = overview;
    this.problem = null;
    this.receivedAt = performance.now();
    this.show();
  }

  /** @param {string} message */
  trouble(message) {
    this.problem = message || t("no_answer");
    this.show();
  }

  /** @param {boolean} open */
  connection(open) {
    if (this.connected !== open) {
      this.connected = open;
      this.show();
    }
  }

  show() {
    const { overview, connected, problem } = this;
    const sinceMs = performance.now() - this.receivedAt;
    const { name, label, detail } = freshness({ overview, sinceMs, connected, problem });
    const indicator = $("freshness");
    indicator.dataset.state = name;
    replaceContent(indicator, h("b", {}, label), detail && h("span", {}, detail));
    $("page").classList.toggle("stale", name === "stale");
    // A screen reader announces changes of the state, but not of the age.
    const announcement = $("announce");
    if (announcement.dataset.state !== name) {
      announcement.dataset.state = name;
      announcement.textContent = name === "stale" ? `${label}. ${detail}` : label;
    }
  }
}
