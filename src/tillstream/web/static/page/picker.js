// The dialog for the days and the comparison, and the arrows to earlier and later days.
import { $, h } from "./dom.js";
import { dayRange } from "./format.js";
import { t } from "./i18n.js";
import { asPeriod, neighbours, quickSpans, withPeriod } from "./period.js";

/** @import { Overview } from "./types" */

/** The dialog. It calls `changed` after the address of the page has changed. */
export class PeriodPicker {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    this.today = "";
    this.from = dateInput("period-from");
    this.to = dateInput("period-to");
    this.vs = dateInput("period-vs");
    this.dialog = $("period-dialog");
    this.listen();
    $("period-quick").replaceChildren(...Object.keys(quickSpans("2000-01-01")).map((name) => this.quickButton(name)));
  }

  listen() {
    const { dialog, from, to, vs } = this;
    $("period").addEventListener("click", () => {
      if (this.today) {
        dialog.showModal();
      }
    });
    $("period-close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) {
        dialog.close();
      }
    });
    $("period-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    from.addEventListener("input", () => {
      if (to.value < from.value || !to.dataset.edited) {
        to.value = from.value;
      }
    });
    for (const input of [to, vs]) {
      input.addEventListener("input", () => {
        input.dataset.edited = "1";
      });
    }
  }

  submit() {
    const from = this.from.value;
    if (!from) {
      return;
    }
    const to = this.to.value >= from ? this.to.value : from;
    this.choose(from, to, this.vs.dataset.edited ? this.vs.value : "");
  }

  /**
   * Shows other days without reloading the page. The Back button of the browser returns to the previous days.
   * @param {string} from
   * @param {string} to
   * @param {string} vs
   */
  choose(from, to, vs) {
    this.dialog.close();
    history.pushState(null, "", withPeriod(asPeriod(from, to, this.today, vs)));
    this.changed();
  }

  /** @param {string} name */
  quickButton(name) {
    const button = h("button", { type: "button", "data-i18n": name }, t(name));
    button.addEventListener("click", () => this.choose(...quickSpans(this.today)[name], ""));
    return button;
  }

  /**
   * Fills in the selected days, unless the dialog is open.
   * @param {Overview} overview
   */
  update(overview) {
    if (this.dialog.open) {
      return;
    }
    this.today = overview.today;
    this.from.value = overview.from;
    this.to.value = overview.to;
    this.vs.value = overview.vs.from;
    this.from.max = overview.today;
    this.to.max = overview.today;
    delete this.to.dataset.edited;
    delete this.vs.dataset.edited;
  }
}

/**
 * @param {"period-from" | "period-to" | "period-vs"} id
 */
function dateInput(id) {
  const input = h("input", { type: "date", id });
  $(`slot-${id}`).append(input);
  return input;
}

/**
 * Shows the days on the button that opens the dialog, and sets the links of the arrows.
 * @param {Overview} overview
 */
export function showPeriod({ from, to, vs, today }) {
  $("period-name").textContent = dayRange(from, to);
  $("vs-name").textContent = dayRange(vs.from, vs.to);
  const { before, after } = neighbours(from, to, today);
  $("day-before").href = withPeriod(before);
  $("day-after").href = withPeriod(after ?? {});
  $("day-after").toggleAttribute("hidden", after === null);
}
