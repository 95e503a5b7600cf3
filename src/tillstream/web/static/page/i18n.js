// The page's texts in the viewer's language: one file of messages per language, all with the same keys.

/** @typedef {string | Record<string, string>} Message A text, or its plural forms. */

export const LANGUAGES = ["en", "fr"];

/** @type {Record<string, Message>} */
let messages = {};
let plural = new Intl.PluralRules("en");
/** The language of the messages in use. */
export let language = "en";

/**
 * The language that the address asks for, else the one in the cookie, else the browser's first that the page has.
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
 * Uses these messages from now on.
 * @param {string} name language
 * @param {Record<string, Message>} loaded
 */
export function setMessages(name, loaded) {
  messages = loaded;
  language = name;
  plural = new Intl.PluralRules(name);
}

/**
 * Loads a language, translates the page's markup, and remembers the choice.
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
 * The message with its placeholders filled in. `count` selects the plural form.
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 * @returns {string}
 */
export function t(key, values = {}) {
  const message = messages[key] ?? key;
  const text = typeof message === "string" ? message : message[plural.select(Number(values.count))] || message.other;
  return text.replace(/\{(\w+)\}/g, (placeholder, name) => String(values[name] ?? placeholder));
}
