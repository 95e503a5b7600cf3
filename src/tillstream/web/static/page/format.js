// Amounts, counts, days and spans of time as the viewer's language writes them.
import { language, word } from "./words.js";

const LOCALES = { en: "en-GB", fr: "fr-FR" };

const made = new Map();

function format(kind, options) {
  const key = language + kind.name + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new kind(LOCALES[language], options));
  return made.get(key);
}

// Amounts stay decimal strings: the formatter reads them without a binary number between.
export function money(amount, currency) {
  return amount === null ? "–" : format(Intl.NumberFormat, { style: "currency", currency }).format(amount);
}

// Without the minor unit, for places where a glance is enough.
export function roundMoney(amount, currency) {
  const options = { style: "currency", currency, maximumFractionDigits: 0 };
  return amount === null ? "–" : format(Intl.NumberFormat, options).format(amount);
}

// What stands before and from the decimal point on; a sign of the currency behind it stays behind.
export function moneyParts(amount, currency) {
  const parts = format(Intl.NumberFormat, { style: "currency", currency }).formatToParts(amount);
  const point = parts.findIndex((part) => part.type === "decimal");
  const text = (some) => some.map((part) => part.value).join("");
  return point < 0 ? [text(parts), ""] : [text(parts.slice(0, point)), text(parts.slice(point))];
}

export const count = (number) => (number === null ? "–" : format(Intl.NumberFormat, {}).format(number));

export const decimal = (text, digits = 2) =>
  format(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(text);

export function short(number) {
  return format(Intl.NumberFormat, { notation: "compact", maximumSignificantDigits: 3 }).format(number);
}

// "+6.2 %" from "6.2"; the sign says it, the colour only repeats it.
export function percent(change) {
  const options = { minimumFractionDigits: 1, maximumFractionDigits: 1, signDisplay: "exceptZero", style: "percent" };
  return format(Intl.NumberFormat, options).format(Number(change) / 100);
}

export const share = (text) =>
  format(Intl.NumberFormat, { minimumFractionDigits: 1, maximumFractionDigits: 1, style: "percent" }).format(Number(text) / 100);

const utc = (day) => new Date(day + "T00:00:00Z");

export function dayName(day) {
  const options = { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" };
  if (day.slice(0, 4) !== new Date().toISOString().slice(0, 4)) options.year = "numeric";
  return format(Intl.DateTimeFormat, options).format(utc(day)).replace(",", "");
}

export const weekday = (day) => format(Intl.DateTimeFormat, { weekday: "short", timeZone: "UTC" }).format(utc(day));

export function spanName(first, last) {
  return first === last ? dayName(first) : dayName(first) + " – " + dayName(last);
}

export function shifted(day, days) {
  const date = utc(day);
  date.setUTCDate(date.getUTCDate() + days);
  return date.toISOString().slice(0, 10);
}

export const days = (first, last) => Math.round((utc(last) - utc(first)) / 86400000) + 1;

// The wall clock so many minutes after a wall-clock time, or before it.
export function clock(start, offset) {
  const [hours, minutes] = start.slice(11, 16).split(":").map(Number);
  const at = (((hours * 60 + minutes + offset) % 1440) + 1440) % 1440;
  return String(Math.floor(at / 60)).padStart(2, "0") + ":" + String(at % 60).padStart(2, "0");
}

// The symbols of milliseconds, seconds, minutes and hours are the same in every language.
const unit = (number, symbol, digits = 0) =>
  format(Intl.NumberFormat, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(number) + "\u00a0" + symbol;

export function span(ms) {
  if (ms === null) return "–";
  if (ms < 1000) return unit(Math.round(ms), "ms");
  if (ms < 10000) return unit(ms / 1000, "s", 1);
  if (ms < 120000) return unit(Math.floor(ms / 1000), "s");
  if (ms < 7200000) return unit(Math.floor(ms / 60000), "min");
  if (ms < 172800000) return unit(Math.floor(ms / 3600000), "h");
  return word("days", { number: count(Math.floor(ms / 86400000)) });
}

// How old figures are changes all the time: in steps that don't flicker.
export const age = (ms) => (ms < 10000 ? unit(Math.floor(ms / 100) / 10, "s", 1) : span(ms));

// A change as an element would show it: text and whether it is better (1), worse (-1) or neither (0).
export function changed(change, upIsGood = true) {
  if (change === null || change === undefined) return ["", 0];
  if (change === "new") return [word("new"), 0];
  const direction = Math.sign(Number(change));
  return [percent(change), upIsGood ? direction : -direction];
}
