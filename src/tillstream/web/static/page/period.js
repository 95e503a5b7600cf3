// The selected days, comparison and part of the chain. The address of the page contains all of them.
import { addDays, dayCount, dayName, dayRange } from "./format.js";

/** @import { Overview, Scope } from "./types" */
/** @typedef {{ day?: string, from?: string, to?: string, vs?: string }} Period */

/** @type {[RegExp, string[]][]} */
const SCOPES = [
  [/^\/regions\/([^/]+)$/, ["region"]],
  [/^\/shops\/([^/]+)\/tills\/([^/]+)$/, ["store", "till"]],
  [/^\/shops\/([^/]+)$/, ["store"]],
  [/^\/categories\/([^/]+)$/, ["category"]],
  [/^\/products\/([^/]+)$/, ["product"]],
];
const PERIOD_PARAMETERS = /** @type {const} */ (["day", "from", "to", "vs"]);

/**
 * Returns the part of the chain that a path selects. It is empty for the whole chain.
 * @param {string} [path]
 * @returns {Record<string, string>}
 */
export function scope(path = location.pathname) {
  for (const [pattern, names] of SCOPES) {
    const found = path.match(pattern);
    if (found) {
      return Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1])]));
    }
  }
  return {};
}

/**
 * Returns the days and the comparison in a query string.
 * @param {string} [search]
 * @returns {Period}
 */
export function period(search = location.search) {
  const parameters = new URLSearchParams(search);
  return Object.fromEntries(
    PERIOD_PARAMETERS.filter((name) => parameters.get(name)).map((name) => [name, parameters.get(name)]),
  );
}

/** Returns the query string for the API. */
export const query = () => new URLSearchParams({ ...period(), ...scope() }).toString();

/** Whether the page shows the whole chain today, as the live feed does. */
export const isHome = () => query() === "";

/**
 * @param {string} path
 * @param {Record<string, string>} parameters
 */
export function address(path, parameters) {
  const search = new URLSearchParams(parameters).toString();
  return search ? `${path}?${search}` : path;
}

/**
 * Returns the address of another part of the chain for the selected days.
 * @param {string} path
 */
const sameDays = (path) => address(path, { ...period() });

const escaped = encodeURIComponent;

/** Addresses of the parts of the chain, for the days that the page shows. */
export const places = {
  chain: () => sameDays("/"),
  /** @param {string} region */
  region: (region) => sameDays(`/regions/${escaped(region)}`),
  /** @param {string} store */
  store: (store) => sameDays(`/shops/${escaped(store)}`),
  /**
   * @param {string} store
   * @param {string} till
   */
  till: (store, till) => sameDays(`/shops/${escaped(store)}/tills/${escaped(till)}`),
  /** @param {string} category */
  category: (category) => sameDays(`/categories/${escaped(category)}`),
  /** @param {string} product */
  product: (product) => sameDays(`/products/${escaped(product)}`),
  /** @param {string} key */
  receipt: (key) => `/receipts/${escaped(key)}`,
};

/**
 * Returns the address of a larger part of the chain that contains the selected part.
 * @param {Scope["parents"][number]} parent
 */
export function placeOf(parent) {
  if (parent.kind === "region") {
    return places.region(parent.region ?? "");
  }
  return parent.kind === "store" ? places.store(parent.store ?? "") : places.category(parent.category ?? "");
}

/**
 * Returns the period from one day to another. Today has no parameters, so that a bookmark always shows the current day.
 * @param {string} from
 * @param {string} to
 * @param {string} today
 * @param {string} [vs]
 * @returns {Period}
 */
export function asPeriod(from, to, today, vs) {
  const compared = vs ? { vs } : {};
  if (from !== to) {
    return { from, to, ...compared };
  }
  return from === today ? compared : { day: from, ...compared };
}

/**
 * Returns the current address with another period.
 * @param {Period} wanted
 * @param {{ pathname: string, search: string }} [current]
 */
export function withPeriod(wanted, current = location) {
  const parameters = new URLSearchParams(current.search);
  for (const name of PERIOD_PARAMETERS) {
    parameters.delete(name);
  }
  return address(current.pathname, { ...Object.fromEntries(parameters), ...wanted });
}

/**
 * Returns the most common periods with their message keys.
 * @param {string} today
 * @returns {Record<string, [string, string]>}
 */
export const quickSpans = (today) => ({
  today: [today, today],
  yesterday: [addDays(today, -1), addDays(today, -1)],
  last_7_days: [addDays(today, -6), today],
  last_28_days: [addDays(today, -27), today],
  this_month: [`${today.slice(0, 8)}01`, today],
});

/**
 * Returns the periods of the same length before and after the selected one. There is none after today.
 * @param {string} from
 * @param {string} to
 * @param {string} today
 * @returns {{ before: Period, after: Period | null }}
 */
export function neighbours(from, to, today) {
  const length = dayCount(from, to);
  /** @param {string} first */
  const span = (first) => asPeriod(first, addDays(first, length - 1), today);
  const next = addDays(from, length);
  return { before: span(addDays(from, -length)), after: next > today ? null : span(next) };
}

/**
 * Returns the text for the days that are compared with.
 * @param {Overview} overview
 */
export const comparedDays = ({ from, to, vs }) => (from === to ? dayName(vs.from) : dayRange(vs.from, vs.to));
