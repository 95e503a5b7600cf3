// Names for the types of the API, which api.d.ts has from the OpenAPI document.
import type { components } from "./api";

type Schemas = components["schemas"];

export type Alert = Schemas["Alert"];
export type Course = Schemas["Course"];
export type OtherDay = Schemas["OtherDay"];
export type Overview = Schemas["Overview"];
export type Pace = Schemas["Pace"];
export type Product = Schemas["ProductSales"];
export type Scope = Schemas["Scope"];

/** A figure, what it was on the days compared with, and the change in percent, or `new`. */
export interface Figure<Value> {
  value: Value;
  before: Value | null;
  change: string | null;
}

/** An event of the live feed: the overview of today with the active alerts. */
export type LiveOverview = Overview & { alerts: Alert[] };
