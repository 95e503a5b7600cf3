// What the page says, in the viewer's language: one file a language, the same keys in each.

let words = {};
let plural = new Intl.PluralRules("en");
export let language = "en";

export const LANGUAGES = ["en", "fr"];

export function wanted() {
  const asked = new URLSearchParams(location.search).get("lang");
  const kept = document.cookie.match(/(?:^|; )lang=(\w+)/)?.[1];
  const browser = navigator.languages.map((each) => each.slice(0, 2));
  return [asked, kept, ...browser].find((each) => LANGUAGES.includes(each)) || "en";
}

async function fetched(name) {
  for (;;) {
    try {
      const answer = await fetch("/assets/words/" + name + ".json");
      if (answer.ok) return await answer.json();
    } catch {
      // The server is away, or the page is being left: in the first case it comes back.
    }
    await new Promise((then) => setTimeout(then, 1000));
  }
}

export async function load(name) {
  words = await fetched(name);
  language = name;
  plural = new Intl.PluralRules(name);
  document.documentElement.lang = name;
  // The pages that the server writes read it.
  document.cookie = "lang=" + name + "; path=/; max-age=31536000; samesite=lax";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-title]")) element.title = word(element.dataset.title);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
    element.title = word(element.dataset.label);
  }
}

// A word with its places filled; where it has forms, `count` chooses.
export function word(key, values = {}) {
  let text = key in words ? words[key] : key;
  if (typeof text === "object") text = text[plural.select(values.count)] || text.other;
  return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? values[name] : place));
}
