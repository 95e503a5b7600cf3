// Where overviews come from: the live feed for the chain's today, the API for everything else.
import { isHome, query } from "./period.js";

const AGAIN_MS = 2000; // A part of the chain is asked for again at most so often while the chain goes on.

// `heard` gets (overview, alerts), `trouble` a text; both as long as the page is open.
export class Feed {
  constructor(heard, trouble, connection) {
    this.heard = heard;
    this.trouble = trouble;
    this.connection = connection;
    this.alerts = null;
    this.asked = 0;
    this.live = false;
    this.failed = false;
    this.watch();
  }

  // The chain's own feed stays open whatever is shown: it says when there is something new.
  watch() {
    const source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => this.connection(true));
    source.addEventListener("overview", (event) => {
      const overview = JSON.parse(event.data);
      this.connection(true);
      this.alerts = overview.alerts ?? [];
      if (isHome()) this.heard(overview, this.alerts);
      else if (this.live || this.failed) this.askAgain();
    });
    source.addEventListener("trouble", (event) => this.fail(JSON.parse(event.data).error));
    source.addEventListener("error", () => {
      this.connection(false);
      // A browser gives up for good when the answer is not a stream, as while the server starts.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.watchAgain(), 1000);
    });
  }

  // Whose session has ended has to log in again, and comes back to where it was.
  async watchAgain() {
    const [answer] = await read("/api/v1/metrics");
    if (answer?.status !== 401) { this.watch(); return; }
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
  }

  // Also of days that are over it is asked again, once something is heard.
  fail(text) {
    this.failed = true;
    this.trouble(text);
  }

  askAgain() {
    if (performance.now() - this.asked < AGAIN_MS || document.hidden) return;
    this.ask();
  }

  // The overview of what the address says. An answer that a newer question has overtaken is dropped.
  async ask() {
    const wanted = query();
    this.asked = performance.now();
    const [answer, body] = await read("/api/v1/overview?" + wanted);
    if (wanted !== query()) return;
    if (!answer?.ok) { this.fail(body?.errors[0].error ?? ""); return; }
    this.failed = false;
    this.live = body.live;
    this.heard(body, this.alerts);
  }
}

// The answer and its JSON; nothing where the server cannot be reached.
async function read(address) {
  try {
    const answer = await fetch(address);
    return [answer, await answer.json()];
  } catch {
    return [null, null];
  }
}
