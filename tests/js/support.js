// What several tests need: messages of a language, and an overview.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setMessages } from "#page/i18n.js";

const { resolve } = createRequire(import.meta.url);

/**
 * Uses the messages that the page loads.
 * @param {string} language
 */
export function useLanguage(language) {
  setMessages(language, JSON.parse(readFileSync(resolve(`#locales/${language}.json`), "utf8")));
}

/**
 * The parts of an overview that the tested functions read.
 * @param {object} [changes]
 * @returns {any}
 */
export const overview = (changes = {}) => ({
  from: "2026-11-23",
  to: "2026-11-23",
  today: "2026-11-23",
  live: true,
  lag: 0,
  age_ms: 0,
  vs: { from: "2026-11-16", to: "2026-11-16", until: "10:15", empty: false },
  counters: { waiting: { quarantined: 0, conflicts: 0 }, anomalies: 0 },
  other_days: [],
  ...changes,
});
