// Reads overviews: of the whole chain today from the live feed, of everything else from the API.
import { isHome, query } from "./period.js";

/** @import { Alert, LiveOverview, Overview } from "./types" */

const REFRESH_INTERVAL_MS = 2000; // Shortest time between two requests for the same part of the chain.
const RECONNECT_MS = 1000;

/**
 * @typedef {object} Listeners
 * @property {(overview: Overview, alerts: Alert[] | null) => void} overview
 * @property {(message: string) => void} trouble There are no figures; the message says why.
 * @property {(open: boolean) => void} connection
 */

/** Calls its listeners for as long as the page is open. */
export class Feed {
  /** @param {Listeners} listeners */
  constructor(listeners) {
    this.listeners = listeners;
    /** @type {Alert[] | null} */
    this.alerts = null;
    this.requestedAt = 0;
    this.live = false;
    this.failed = false;
    this.connect();
  }

  /** The live feed stays open whatever the page shows: it tells when there is something new. */
  connect() {
    const source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => this.listeners.connection(true));
    source.addEventListener("overview", (event) => this.receive(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => this.fail(JSON.parse(event.data).error));
    source.addEventListener("error", () => {
      this.listeners.connection(false);
      // A browser does not reconnect if the response is not an event stream, as while the server starts.
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => this.reconnect(), RECONNECT_MS);
      }
    });
  }

  /** Connects again, or goes to the login page if the session has ended. */
  async reconnect() {
    const [response] = await getJson("/api/v1/metrics");
    if (response?.status === 401) {
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
    } else {
      this.connect();
    }
  }

  /** @param {LiveOverview} overview */
  receive(overview) {
    this.listeners.connection(true);
    this.alerts = overview.alerts ?? [];
    if (isHome()) {
      this.listeners.overview(overview, this.alerts);
    } else if (this.live || this.failed) {
      this.refresh();
    }
  }

  /** @param {string} message */
  fail(message) {
    this.failed = true;
    this.listeners.trouble(message);
  }

  /** Requests the overview again, unless the last request is recent or nobody sees the page. */
  refresh() {
    if (performance.now() - this.requestedAt >= REFRESH_INTERVAL_MS && !document.hidden) {
      this.request();
    }
  }

  /** Requests the overview that the address names. An answer is dropped if the address has changed since. */
  async request() {
    const wanted = query();
    this.requestedAt = performance.now();
    const [response, body] = await getJson(`/api/v1/overview?${wanted}`);
    if (wanted !== query()) {
      return;
    }
    if (!response?.ok) {
      this.fail(body?.errors[0].error ?? "");
      return;
    }
    this.failed = false;
    this.live = body.live;
    this.listeners.overview(body, this.alerts);
  }
}

/**
 * The response and its JSON, or nulls if the server cannot be reached.
 * @param {string} url
 * @returns {Promise<[Response, any] | [null, null]>}
 */
async function getJson(url) {
  try {
    const response = await fetch(url);
    return [response, await response.json()];
  } catch {
    return [null, null];
  }
}
