// Creates and changes elements. Text is always added as text, never as markup.
import { ELEMENTS } from "./elements.js";

/** @typedef {keyof typeof ELEMENTS} ElementId */
/** @typedef {Record<string, string | number | boolean | null | undefined>} Attributes */
/** @typedef {Node | string | null | undefined | false} Child */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * Returns the element of the page with this id.
 * @template {ElementId} Id
 * @param {Id} id
 * @returns {HTMLElementTagNameMap[(typeof ELEMENTS)[Id]]}
 */
export function $(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`the page has no element with the id ${id}`);
  }
  return /** @type {any} */ (element);
}

/**
 * Creates an HTML element. Children that are null, undefined or false are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/**
 * Creates an SVG element, like `h`.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes} [attributes]
 * @param {Child[]} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG_NAMESPACE, tag);
  fill(element, attributes, children);
  return element;
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {Attributes} attributes
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (name === "style") {
      // The Content-Security-Policy allows styles that a script sets, but no style attributes.
      element.style.cssText = String(value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter(isPresent));
}

/**
 * @param {Child} child
 * @returns {child is Node | string}
 */
const isPresent = (child) => child !== null && child !== undefined && child !== false;

/**
 * Replaces the content of an element only if it differs, because a screen reader would read it again.
 *
 * The content also stays while a part of it is pressed, because a replacement would lose the click.
 * The next update follows soon. A link that has the focus keeps it.
 * @param {HTMLElement} element
 * @param {Child[]} children
 */
export function replaceContent(element, ...children) {
  const parts = children.filter(isPresent);
  const content = parts.map((part) => (part instanceof Element ? part.outerHTML : String(part))).join("\u0000");
  if (element.dataset.content === content || element.matches(":active")) {
    return;
  }
  element.dataset.content = content;
  const focused = element.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
  element.replaceChildren(...parts);
  if (focused) {
    const links = [.../** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll("[href]"))];
    links.find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
  }
}

/** Whether the system settings of the viewer request reduced motion. */
export const prefersReducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
