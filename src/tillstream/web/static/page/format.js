// Amounts, counts, dates and durations as the viewer's language writes them.
// tests/fixtures/formatting.json holds what both this module and the server write.
import { language, t } from "./i18n.js";

const LOCALES = /** @type {Record<string, string>} */ ({ en: "en-GB", fr: "fr-FR" });
const MISSING = "–";

/** @type {Map<string, Intl.NumberFormat | Intl.DateTimeFormat>} */
const formatters = new Map();

/**
 * @template {Intl.NumberFormat | Intl.DateTimeFormat} Formatter
 * @template Options
 * @param {new (locale: string, options: Options) => Formatter} kind
 * @param {Options} options
 * @returns {Formatter}
 */
function cached(kind, options) {
  const key = language + kind.name + JSON.stringify(options);
  if (!formatters.has(key)) {
    formatters.set(key, new kind(LOCALES[language], options));
  }
  return /** @type {Formatter} */ (formatters.get(key));
}

/** @param {Intl.NumberFormatOptions} options */
const numbers = (options) => cached(Intl.NumberFormat, options);

/** @param {Intl.DateTimeFormatOptions} options */
const dates = (options) => cached(Intl.DateTimeFormat, { ...options, timeZone: "UTC" });

/**
 * A decimal string for the formatter, which reads all of its digits; a JavaScript number could not hold them.
 * @param {string} text
 */
const exact = (text) => /** @type {any} */ (text);

/**
 * @param {string | null} amount decimal string
 * @param {string} currency ISO 4217 code
 */
export function money(amount, currency) {
  return amount === null ? MISSING : numbers({ style: "currency", currency }).format(exact(amount));
}

/**
 * The amount without cents, for places where a glance is enough.
 * @param {string | null} amount
 * @param {string} currency
 */
export function roundMoney(amount, currency) {
  const options = { style: /** @type {const} */ ("currency"), currency, maximumFractionDigits: 0 };
  return amount === null ? MISSING : numbers(options).format(exact(amount));
}

/**
 * The amount in two parts: up to the decimal point, and the rest with the currency sign if it comes last.
 * @param {string} amount
 * @param {string} currency
 * @returns {[string, string]}
 */
export function moneyParts(amount, currency) {
  const parts = numbers({ style: "currency", currency }).formatToParts(exact(amount));
  const point = parts.findIndex((part) => part.type === "decimal");
  const cut = point < 0 ? parts.length : point;
  /** @param {Intl.NumberFormatPart[]} some */
  const text = (some) => some.map((part) => part.value).join("");
  return [text(parts.slice(0, cut)), text(parts.slice(cut))];
}

/** @param {number | null} number */
export const count = (number) => (number === null ? MISSING : numbers({}).format(number));

/**
 * @param {string} text decimal string
 * @param {number} [digits]
 */
export const decimal = (text, digits = 2) =>
  numbers({ minimumFractionDigits: digits, maximumFractionDigits: digits }).format(exact(text));

/**
 * The number with at most three digits, such as 1.2K.
 * @param {number} number
 */
export const compact = (number) => numbers({ notation: "compact", maximumSignificantDigits: 3 }).format(number);

const ONE_DIGIT = { minimumFractionDigits: 1, maximumFractionDigits: 1, style: /** @type {const} */ ("percent") };

/**
 * 5.5% from "5.5".
 * @param {string} text percent
 */
export const percent = (text) => numbers(ONE_DIGIT).format(Number(text) / 100);

/**
 * +6.2% from "6.2".
 * @param {string} text percent
 */
export const change = (text) => numbers({ ...ONE_DIGIT, signDisplay: "exceptZero" }).format(Number(text) / 100);

/**
 * A change as text, and whether it is better (1), worse (-1) or neither (0).
 * @param {string | null | undefined} value percent, or `new` if there was nothing before
 * @param {boolean} [upIsGood]
 * @returns {[string, number]}
 */
export function rated(value, upIsGood = true) {
  if (value === null || value === undefined) {
    return ["", 0];
  }
  if (value === "new") {
    return [t("new"), 0];
  }
  const direction = Math.sign(Number(value));
  return [change(value), upIsGood ? direction : -direction];
}

const DAY_MS = 86_400_000;

/** @param {string} day ISO date */
const utc = (day) => new Date(`${day}T00:00:00Z`);

/**
 * Weekday, day and month. The year is left out if it is the current one.
 * @param {string} day ISO date
 * @param {string} [currentYear]
 */
export function dayName(day, currentYear = new Date().toISOString().slice(0, 4)) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { weekday: "short", day: "numeric", month: "short" };
  if (day.slice(0, 4) !== currentYear) {
    options.year = "numeric";
  }
  return dates(options).format(utc(day)).replace(",", "");
}

/** @param {string} day ISO date */
export const weekday = (day) => dates({ weekday: "short" }).format(utc(day));

/**
 * @param {string} first ISO date
 * @param {string} last ISO date
 * @param {string} [currentYear]
 */
export function dayRange(first, last, currentYear) {
  const from = dayName(first, currentYear);
  return first === last ? from : `${from} – ${dayName(last, currentYear)}`;
}

/**
 * @param {string} day ISO date
 * @param {number} number of days, negative to go back
 */
export const addDays = (day, number) => new Date(utc(day).getTime() + number * DAY_MS).toISOString().slice(0, 10);

/**
 * Number of days from the first to the last, both included.
 * @param {string} first ISO date
 * @param {string} last ISO date
 */
export const dayCount = (first, last) => Math.round((utc(last).getTime() - utc(first).getTime()) / DAY_MS) + 1;

/**
 * Hours and minutes of a local time, which both languages write alike.
 * @param {string} local ISO date and time
 */
export const time = (local) => local.slice(11, 16);

/** @param {string} local ISO date and time */
export const timeWithSeconds = (local) => local.slice(11, 19);

/**
 * The time of day a number of minutes after a local time, or before it.
 * @param {string} start ISO date and time
 * @param {number} offset minutes
 */
export function clock(start, offset) {
  const [hours, minutes] = time(start).split(":").map(Number);
  const total = (((hours * 60 + minutes + offset) % 1440) + 1440) % 1440;
  return `${String(Math.floor(total / 60)).padStart(2, "0")}:${String(total % 60).padStart(2, "0")}`;
}

/**
 * A number with a unit whose symbol is the same in every language.
 * @param {number} number
 * @param {string} symbol
 * @param {number} [digits]
 */
const withUnit = (number, symbol, digits = 0) => `${decimal(String(number), digits)}\u00a0${symbol}`;

/**
 * A duration in its largest fitting unit.
 * @param {number} ms
 */
export function duration(ms) {
  if (ms < 1000) {
    return withUnit(Math.round(ms), "ms");
  }
  if (ms < 10_000) {
    return withUnit(ms / 1000, "s", 1);
  }
  if (ms < 120_000) {
    return withUnit(Math.floor(ms / 1000), "s");
  }
  if (ms < 7_200_000) {
    return withUnit(Math.floor(ms / 60_000), "min");
  }
  if (ms < 172_800_000) {
    return withUnit(Math.floor(ms / 3_600_000), "h");
  }
  return t("days", { number: count(Math.floor(ms / DAY_MS)) });
}

/**
 * The age of the figures. It changes all the time, so it is rounded down to steps that do not flicker.
 * @param {number} ms
 */
export const age = (ms) => (ms < 10_000 ? withUnit(Math.floor(ms / 100) / 10, "s", 1) : duration(ms));
