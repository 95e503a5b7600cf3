// Formats amounts, counts, dates and durations in the language of the viewer.
// tests/fixtures/formatting.json contains results that this module and the server share.
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
 * Passes a decimal string to the formatter, which reads all digits. A JavaScript number would lose some.
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
 * Formats an amount without cents.
 * @param {string | null} amount
 * @param {string} currency
 */
export function roundMoney(amount, currency) {
  const options = { style: /** @type {const} */ ("currency"), currency, maximumFractionDigits: 0 };
  return amount === null ? MISSING : numbers(options).format(exact(amount));
}

/**
 * Formats an amount in two parts: before the decimal point, and the rest including a trailing currency sign.
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
 * Formats a number with at most three digits, such as 1.2K.
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
 * Returns a change as text, and whether it is better (1), worse (-1) or neither (0).
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
 * Formats weekday, day and month, and the year unless it is the current year.
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
 * Returns the number of days from the first to the last, both included.
 * @param {string} first ISO date
 * @param {string} last ISO date
 */
export const dayCount = (first, last) => Math.round((utc(last).getTime() - utc(first).getTime()) / DAY_MS) + 1;

/**
 * Formats the hours and minutes of a local time, which are the same in both languages.
 * @param {string} local ISO date and time
 */
export const time = (local) => local.slice(11, 16);

/** @param {string} local ISO date and time */
export const timeWithSeconds = (local) => local.slice(11, 19);

/**
 * Returns the time of day a number of minutes after a local time. The number may be negative.
 * @param {string} start ISO date and time
 * @param {number} offset minutes
 */
export function clock(start, offset) {
  const [hours, minutes] = time(start).split(":").map(Number);
  const total = (((hours * 60 + minutes + offset) % 1440) + 1440) % 1440;
  return `${String(Math.floor(total / 60)).padStart(2, "0")}:${String(total % 60).padStart(2, "0")}`;
}

/**
 * Formats a number with a unit whose symbol is the same in every language.
 * @param {number} number
 * @param {string} symbol
 * @param {number} [digits]
 */
const withUnit = (number, symbol, digits = 0) => `${decimal(String(number), digits)}\u00a0${symbol}`;

/**
 * Formats a duration in the largest unit that fits.
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
 * Formats the age of the figures. It is rounded down to steps, so that the text does not flicker.
 * @param {number} ms
 */
export const age = (ms) => (ms < 10_000 ? withUnit(Math.floor(ms / 100) / 10, "s", 1) : duration(ms));
