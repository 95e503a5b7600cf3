// Elements and what changes on them. All text goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  fill(element, attributes, children);
  return element;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") element.style.cssText = value; // set by script, so no policy stands in its way
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

// Changes nothing where nothing changed: a screen reader would read it again. Nor while something in it is pressed, whose
// click would be lost: the next update comes soon. What has the focus keeps it, where it is still there.
export function say(element, ...given) {
  const parts = given.filter((part) => part !== null && part !== undefined && part !== false);
  const key = parts.map((part) => (typeof part === "string" ? part : part.outerHTML)).join("\u0000");
  if (element.dataset.said === key || element.matches(":active")) return false;
  element.dataset.said = key;
  const focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  element.replaceChildren(...parts);
  if (focused !== null) [...element.querySelectorAll("[href]")].find((each) => each.getAttribute("href") === focused)?.focus({ preventScroll: true });
  return true;
}

// Like `say` for a list of rows, each an element: only replaced when one of them differs.
export function rows(element, items) {
  return say(element, ...items);
}

export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
