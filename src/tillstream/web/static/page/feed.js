// Reads overviews. The overview of the whole chain today comes from the live feed, all others from the API.
import { isHome, query } from "./period.js";

/** @import { Alert, LiveOverview, Overview } from "./types" */

const REFRESH_INTERVAL_MS = 2000; // The minimum time between two requests for the same part of the chain.
const RECONNECT_MS = 1000;

/**
 * @typedef {object} Listeners
 * @property {(overview: Overview, alerts: Alert[] | null) => void} overview
 * @property {(message: string) => void} trouble There are no figures; the message says why.
 * @property {(open: boolean) => void} connection
 */

/** Calls its listeners while the page is open. */
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

  /** Keeps the live feed open for all parts of the chain, because its events announce new data. */
  connect() {
    const source = new EventSource("/api/v1/live");
    source.addEventListener("open", () => this.listeners.connection(true));
    source.addEventListener("overview", (event) => this.receive(JSON.parse(event.data)));
    source.addEventListener("trouble", (event) => this.fail(JSON.parse(event.data).error));
    source.addEventListener("error", () => {
      this.listeners.connection(false);
      // Browsers do not reconnect after a response that is not an event stream, for example while the server starts.
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => this.reconnect(), RECONNECT_MS);
      }
    });
  }

  /** Reconnects, or opens the login page if the session has ended. */
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

  /** Requests the overview again, unless the last request is recent or the page is hidden. */
  refresh() {
    if (performance.now() - this.requestedAt >= REFRESH_INTERVAL_MS && !document.hidden) {
      this.request();
    }
  }

  /** Requests the overview of the current address. Drops the response if the address has changed in the meantime. */
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
 * Returns the response and its JSON, or nulls if the server cannot be reached.
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
