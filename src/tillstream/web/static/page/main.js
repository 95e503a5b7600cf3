// Starts the live page: connects the feed to the panels, the period picker and the language button.
import { attention } from "./attention.js";
import { $ } from "./dom.js";
import { Feed } from "./feed.js";
import { hero, tiles } from "./figures.js";
import { money } from "./format.js";
import { FreshnessIndicator } from "./freshness.js";
import { LANGUAGES, language, loadLanguage, preferredLanguage, t, translateMarkup } from "./i18n.js";
import * as panels from "./panels.js";
import { isHome } from "./period.js";
import { PeriodPicker, showPeriod } from "./picker.js";

/** @import { Alert, Overview } from "./types" */

const DRAWERS = [
  panels.crumbs,
  panels.arrange,
  hero,
  tiles,
  panels.categories,
  panels.hours,
  panels.shops,
  panels.tills,
  panels.products,
  panels.payments,
  panels.vat,
  panels.latest,
  panels.pace,
  panels.rate,
];

/** @type {Overview | null} */
let shown = null;
/** @type {Alert[] | null} */
let alerts = null;

/** @param {Overview} overview */
function draw(overview) {
  const isEmpty = overview.live && isHome() && overview.tiles.receipts?.value === 0;
  $("welcome").hidden = !isEmpty;
  const page = $("page");
  page.classList.toggle("empty", isEmpty);
  for (const drawer of DRAWERS) {
    drawer(overview);
  }
  attention(overview, overview.live ? alerts : null);
  showPeriod(overview);
  const { scope, tiles: figures, currency } = overview;
  const title = scope.kind === "chain" ? "tillstream" : `${scope.title} · tillstream`;
  document.title = `${money(figures.revenue.value, currency)} · ${title}`;
  if (isHome()) {
    $("nav-today").setAttribute("aria-current", "page");
  } else {
    $("nav-today").removeAttribute("aria-current");
  }
  // Tests wait for these attributes.
  page.dataset.live = String(overview.live);
  page.dataset.drawn = String(Number(page.dataset.drawn ?? 0) + 1);
  page.dataset.day = overview.to;
}

function start() {
  const indicator = new FreshnessIndicator();
  const feed = new Feed({
    overview: (overview, active) => {
      shown = overview;
      alerts = active;
      draw(overview);
      indicator.received(overview);
      picker.update(overview);
    },
    trouble: (message) => indicator.trouble(message),
    connection: (open) => indicator.connection(open),
  });
  const request = () => feed.request();
  const picker = new PeriodPicker(request);
  addEventListener("popstate", request);
  if (!isHome()) {
    request();
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !isHome()) {
      request();
    }
  });
  const resized = new ResizeObserver(() => {
    if (shown) {
      panels.pace(shown);
      panels.rate(shown);
    }
  });
  resized.observe($("pace"));
  $("language").addEventListener("click", nextLanguage);
}

async function nextLanguage() {
  await loadLanguage(LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length]);
  showLanguage();
  if (shown) {
    draw(shown);
  }
}

const showLanguage = () => {
  $("language").textContent = t("other_language");
};

if (new URLSearchParams(location.search).get("wall") === "1") {
  document.documentElement.classList.add("wall");
}
await loadLanguage(preferredLanguage(location.search, document.cookie, navigator.languages));
translateMarkup();
showLanguage();
start();
