// How old the figures are is always on the page, and when they stand still the whole page shows it.
import { $, h, say } from "./dom.js";
import { age, count } from "./format.js";
import { word } from "./words.js";

const SILENT_MS = 12000; // The feed speaks every 5 s at least: after two missed beats the line is dead.
const BEHIND_MS = 5000;

export class Freshness {
  constructor() {
    this.heardAt = 0;
    this.connected = false;
    this.problem = null;
    this.shown = null;
    setInterval(() => this.show(), 250);
  }

  heard(overview) {
    this.shown = overview;
    this.problem = null;
    this.heardAt = performance.now();
    this.show();
  }

  trouble(text) {
    this.problem = text || word("no_answer");
    this.show();
  }

  connection(open) {
    if (this.connected !== open) { this.connected = open; this.show(); }
  }

  show() {
    const { shown, problem } = this;
    if (problem !== null) return this.state("stale", word("not_live"), problem);
    if (!shown) return this.state("", word("connecting"), "");
    const since = performance.now() - this.heardAt, old = since + shown.age_ms;
    if (!this.connected || (shown.live && since > SILENT_MS)) return this.state("stale", word("not_live"), word("figures_old", { age: age(old) }));
    if (!shown.live) return this.state("", word("complete"), word("as_counted"));
    if (shown.age_ms > BEHIND_MS) return this.state("behind", word("behind"), word("behind_note", { age: age(shown.age_ms), number: count(shown.lag) }));
    return this.state("live", word("live"), word("old", { age: age(old) }));
  }

  state(name, bold, rest) {
    const pill = $("freshness");
    pill.dataset.state = name;
    say(pill, h("b", {}, bold), rest ? h("span", {}, rest) : "");
    $("page").classList.toggle("stale", name === "stale");
    // Said aloud only when the state changes, not with every tenth of a second.
    if ($("announce").dataset.state !== name) {
      $("announce").dataset.state = name;
      $("announce").textContent = name === "stale" ? bold + ". " + rest : bold;
    }
  }
}
