// The page that Dash laid out, filled: from the live feed for today, from the API for everything else.
import { $ } from "./dom.js";
import { attention } from "./attention.js";
import { Feed } from "./feed.js";
import { money } from "./format.js";
import { Freshness } from "./freshness.js";
import * as panels from "./panels.js";
import { isHome, picker, showPeriod } from "./period.js";
import { LANGUAGES, language, load, wanted, word } from "./words.js";

const PANELS = [panels.scopeTitle, panels.arrange, panels.hero, panels.tiles, panels.categories, panels.hours, panels.shops, panels.tillsOf, panels.products, panels.payments, panels.vat, panels.latest, panels.pace, panels.rate];

let shown = null;
let alerts = null;

function draw() {
  const empty = shown.live && isHome() && shown.tiles.receipts.value === 0;
  $("welcome").hidden = !empty;
  $("page").classList.toggle("empty", empty);
  for (const panel of PANELS) panel(shown);
  attention(shown, shown.live ? alerts : null, shown.today);
  const page = $("page");
  page.dataset.live = String(shown.live);
  page.dataset.drawn = String(Number(page.dataset.drawn || 0) + 1);
  page.dataset.day = shown.to;
  const title = shown.scope.kind === "chain" ? "tillstream" : shown.scope.title + " · tillstream";
  document.title = money(shown.tiles.revenue.value, shown.currency) + " · " + title;
  if (isHome()) $("nav-today").setAttribute("aria-current", "page");
  else $("nav-today").removeAttribute("aria-current");
}

function start() {
  const freshness = new Freshness();
  let update = () => {};
  const feed = new Feed(
    (overview, heard) => {
      shown = overview;
      alerts = heard;
      draw();
      freshness.heard(overview);
      showPeriod(overview, overview.today);
      update(overview, overview.today);
    },
    (text) => freshness.trouble(text),
    (open) => freshness.connection(open),
  );
  const moved = () => feed.ask();
  update = (overview, now) => { if (!$("period-dialog").open) setPicker(overview, now); };
  const setPicker = picker(moved);
  addEventListener("popstate", moved);
  if (!isHome()) feed.ask();

  $("language").addEventListener("click", async () => {
    await load(LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length]);
    $("language").textContent = word("other_language");
    if (!shown) return;
    draw();
    showPeriod(shown, shown.today);
  });
  $("language").textContent = word("other_language");
  new ResizeObserver(() => { if (shown) { panels.pace(shown); panels.rate(shown); } }).observe($("pace"));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !isHome()) feed.ask(); });
}

// Dash renders after its own scripts have run.
function whenLaidOut(then) {
  if ($("page")) { then(); return; }
  const observer = new MutationObserver(() => {
    if (!$("page")) return;
    observer.disconnect();
    then();
  });
  observer.observe(document.body, { childList: true, subtree: true });
}

if (new URLSearchParams(location.search).get("wall") === "1") document.documentElement.classList.add("wall");
const words = load(wanted());
whenLaidOut(async () => {
  await words;
  await load(language); // Once more for what Dash has laid out since.
  start();
});
