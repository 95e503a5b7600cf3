// Types of what the page reads from the API, with what the OpenAPI document does not describe yet.
import type { paths } from "./api";

type Answer<Path extends "/api/v1/overview" | "/api/v1/alerts"> =
  paths[Path]["get"]["responses"][200]["content"]["application/json"];

type Described = Answer<"/api/v1/overview">;

export type Alert = Answer<"/api/v1/alerts">["alerts"][number];

/** A figure, what it was on the days compared with, and the change in percent, or `new`. */
export interface Figure<Value> {
  value: Value;
  before: Value | null;
  change: string | null;
}

interface Percentiles {
  p50: number | null;
  p99: number | null;
}

/** Figures at the top of the page. A category or a product has only those of its lines. */
export interface Tiles {
  revenue: Figure<string>;
  net: Figure<string>;
  tax: Figure<string>;
  quantity: Figure<number>;
  refunds: (Figure<string> & { count: number }) | null;
  receipts: Figure<number> | null;
  average_ticket: Figure<string | null> | null;
  items_per_ticket: Figure<string | null> | null;
  receipts_per_minute: { value: number | null; trend: number[] } | null;
  shops: { value: number; known: number; silent: number | null } | null;
  tills: { value: number; known: number } | null;
  ingest_delay_ms: Percentiles | null;
  till_delay_s: Percentiles | null;
}

/** Sales, and those of the days compared with. */
export interface Sales {
  revenue: string;
  before: string | null;
  change: string | null;
}

export interface Scope {
  kind: "chain" | "region" | "store" | "till" | "category" | "product";
  title: string;
  city?: string;
  region?: string;
  store?: string;
  till?: string;
  category?: string;
  product?: string;
  parents: {
    kind: "region" | "store" | "category";
    title: string;
    region?: string;
    store?: string;
    category?: string;
  }[];
}

/** Sums by the offset in units from the start: parallel lists. */
export interface Course {
  offset: number[];
  revenue: string[];
  receipts: number[] | null;
}

export type Pace = Described["pace"] & { before: Course };
export type Category = Sales & { category: string; quantity: number };
export type Shop = Sales & { store: string; title: string; hours: string[] };
export type Product = Sales & { product: string; description: string | null; quantity: number };
export type Till = { till: string; revenue: string; receipts: number; last: string | null };
export type Receipt = Described["latest"][number] & { what: string; anomalous: boolean };
export type OtherDay = { day: string; receipts: number };

export interface Counters {
  waiting: { conflicts: number; quarantined: number } | null;
  anomalies: number | null;
}

export type Overview = Omit<Described, "scope" | "tiles" | "pace" | "categories" | "latest" | "counters"> & {
  scope: Scope;
  tiles: Tiles;
  pace: Pace;
  categories: Category[];
  shops: { best: Shop[]; worst: Shop[] } | null;
  tills: Till[] | null;
  products: { top: Product[]; sinking: Product[] } | null;
  latest: Receipt[];
  counters: Counters;
  other_days: OtherDay[];
};

/** An event of the live feed: the overview of today with the active alerts. */
export type LiveOverview = Overview & { alerts: Alert[] };
