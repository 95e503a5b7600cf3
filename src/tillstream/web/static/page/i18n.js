// The texts of the page in the language of the viewer. Each language has one file of messages with the same keys.

/** @typedef {string | Record<string, string>} Message A text, or its plural forms. */

export const LANGUAGES = ["en", "fr"];

/** @type {Record<string, Message>} */
let messages = {};
let plural = new Intl.PluralRules("en");
/** The language of the messages in use. */
export let language = "en";

/**
 * Returns the language of the query, the cookie or the browser preferences, in this order, or the default.
 * @param {string} search query string of the address
 * @param {string} cookie
 * @param {readonly string[]} browser language tags, the preferred one first
 * @returns {string}
 */
export function preferredLanguage(search, cookie, browser) {
  const requested = new URLSearchParams(search).get("lang");
  const remembered = cookie.match(/(?:^|; )lang=(\w+)/)?.[1];
  const candidates = [requested, remembered, ...browser.map((tag) => tag.slice(0, 2))];
  return candidates.find((name) => name && LANGUAGES.includes(name)) || LANGUAGES[0];
}

/**
 * Sets the messages in use.
 * @param {string} name language
 * @param {Record<string, Message>} loaded
 */
export function setMessages(name, loaded) {
  messages = loaded;
  language = name;
  plural = new Intl.PluralRules(name);
}

/**
 * Loads a language, translates the markup of the page, and stores the choice in a cookie.
 * @param {string} name
 */
export async function loadLanguage(name) {
  setMessages(name, await fetchMessages(name));
  document.documentElement.lang = name;
  // The pages that the server renders use the same cookie.
  // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API is not in every browser
  document.cookie = `lang=${name}; path=/; max-age=31536000; samesite=lax`;
  translateMarkup();
}

/** Fills every element of the page that names a message. */
export function translateMarkup() {
  for (const element of elementsWith("data-i18n")) {
    element.textContent = t(element.dataset.i18n ?? "");
  }
  for (const element of elementsWith("data-i18n-title")) {
    element.title = t(element.dataset.i18nTitle ?? "");
  }
  for (const element of elementsWith("data-i18n-label")) {
    element.title = t(element.dataset.i18nLabel ?? "");
    element.setAttribute("aria-label", element.title);
  }
}

/**
 * @param {string} attribute
 * @returns {NodeListOf<HTMLElement>}
 */
const elementsWith = (attribute) => document.querySelectorAll(`[${attribute}]`);

/**
 * @param {string} name
 * @returns {Promise<Record<string, Message>>}
 */
async function fetchMessages(name) {
  for (;;) {
    try {
      const response = await fetch(`/assets/locales/${name}.json`);
      if (response.ok) {
        return await response.json();
      }
    } catch {
      // The server cannot be reached. It may be restarting, so the page tries again.
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/**
 * Returns the message with filled placeholders. `count` selects the plural form.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const message = messages[key] ?? key;
  const text = typeof message === "string" ? message : message[plural.select(Number(values.count))] || message.other;
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder));
}
