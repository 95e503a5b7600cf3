"""API routes for summaries, metrics, stores, overviews, receipts and anomalies, some also as CSV."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, to_builtins
from starlette.requests import Request
from starlette.responses import Response

from tillstream.http.openapi import Body
from tillstream.queries.metrics import MetricDescription, MetricRows, Store
from tillstream.queries.overview.answers import Overview
from tillstream.queries.quarantine import Faults
from tillstream.queries.queries import Queries
from tillstream.queries.receipts import AnomalousReceipts, AnomalyCounts, ReceiptDetails, Receipts
from tillstream.queries.serialization import ReceiptKey
from tillstream.queries.summary import Snapshot, Summary
from tillstream.web.api.routing import (
    ANOMALIES_QUERY,
    DAY_QUERY,
    METRIC_QUERY,
    NO_QUERY,
    OVERVIEW_QUERY,
    RECEIPTS_QUERY,
    Api,
    Query,
    Refused,
    described,
)
from tillstream.web.api.tables import CSV, PANELS, csv_response


class Metrics(Struct, frozen=True):
    """All metrics of the catalogue."""

    metrics: list[MetricDescription]


class Stores(Struct, frozen=True):
    """The shops of the list of shops, followed by other shops with sales."""

    stores: list[Store]


def api(queries: Queries) -> Api:
    """Return the routes that read figures, stores, receipts, anomalies and faults."""
    routes = Api(tag="figures")
    _add_days(routes, queries)
    _add_metrics(routes, queries)
    _add_stores(routes, queries)
    _add_overview(routes, queries)
    _add_receipts(routes, queries)
    return routes


def _add_days(routes: Api, queries: Queries) -> None:
    @routes.get("/summary", query=DAY_QUERY)
    def summary(_request: Request, query: Query) -> Summary:
        """Return the figures of a day, from one commit.

        Amounts are decimal strings. Delays are upper bounds of histogram buckets.
        """
        return queries.summary(query.get("day"))

    @routes.get("/snapshot", query=DAY_QUERY)
    def snapshot(_request: Request, query: Query) -> Snapshot:
        """Return the figures, the minutes and the categories of a day, from one commit."""
        return queries.snapshot(query.get("day"))


def _add_metrics(routes: Api, queries: Queries) -> None:
    names = tuple(each.name for each in queries.catalogue())
    metric_name = {"name": described(Literal[names], "a name that `/api/v1/metrics` lists")}
    no_metric = {404: "No such metric"}

    @routes.get("/metrics", query=NO_QUERY)
    def metrics(_request: Request, _query: Query) -> Metrics:
        """List all metrics with their keys and measures."""
        return Metrics(queries.catalogue())

    @routes.get(
        "/metrics/{name}.csv", query=METRIC_QUERY, path_types=metric_name, body=Body(str, CSV), refusals=no_metric
    )
    def metric_as_csv(request: Request, query: Query) -> Response:
        """Return the rows of a metric on one day as CSV (RFC 4180)."""
        found = queries.metric(request.path_params["name"], query)
        return csv_response(f"{found.metric}-{found.day}", found.columns, found.rows)

    @routes.get("/metrics/{name}", query=METRIC_QUERY, path_types=metric_name, refusals=no_metric)
    def metric(request: Request, query: Query) -> MetricRows:
        """Return the rows of a metric on one day. Each key of the metric is also a filter."""
        return queries.metric(request.path_params["name"], query)


def _add_stores(routes: Api, queries: Queries) -> None:
    @routes.get("/stores", tag="stores", query=NO_QUERY)
    def stores(_request: Request, _query: Query) -> Stores:
        """List the shops in the list of shops, followed by other shops with sales (`listed`: false)."""
        return Stores(queries.stores())

    @routes.get("/stores.csv", tag="stores", query=NO_QUERY, body=Body(str, CSV))
    def stores_as_csv(_request: Request, _query: Query) -> Response:
        """List the shops as CSV (RFC 4180)."""
        return csv_response("stores", Store.__struct_fields__, to_builtins(queries.stores()))


def _add_overview(routes: Api, queries: Queries) -> None:
    @routes.get("/overview", query=OVERVIEW_QUERY)
    def overview(_request: Request, query: Query) -> Overview:
        """Return all figures of a part of the chain on some days, from one commit.

        If the last day is today, the figures are compared with earlier sales until the same local time.
        `change` is in percent, or `new` if there was nothing before.
        """
        return queries.overview(query)

    @routes.get(
        "/overview/{panel}.csv",
        query=OVERVIEW_QUERY,
        path_types={"panel": described(Literal[tuple(PANELS)], f"one of {', '.join(PANELS)}")},
        body=Body(str, CSV),
        refusals={404: "No such panel"},
    )
    def panel_as_csv(request: Request, query: Query) -> Response:
        """Return one panel of the overview as CSV (RFC 4180)."""
        panel = request.path_params["panel"]
        if panel not in PANELS:
            raise Refused(404, "panel", f"there is no panel {panel!r}", f"there are {', '.join(PANELS)}")
        found = queries.overview(query)
        columns, rows = PANELS[panel]
        days = found.from_ if found.from_ == found.to else f"{found.from_}-{found.to}"
        return csv_response(f"{panel}-{days}", columns, rows(found))


def _add_receipts(routes: Api, queries: Queries) -> None:
    @routes.get("/receipts", tag="receipts", query=RECEIPTS_QUERY)
    def receipts(_request: Request, query: Query) -> Receipts:
        """List receipts page by page, newest first."""
        return queries.receipts(query)

    @routes.get(
        "/receipts/{key}",
        tag="receipts",
        path_types={"key": described(ReceiptKey, "the `receiptKey` in the response of ingest")},
        refusals={404: "No such receipt"},
    )
    def receipt(request: Request, _query: Query) -> ReceiptDetails:
        """Return a receipt with its lines, settlements and original text. Personal data is masked."""
        key = request.path_params["key"]
        found = queries.receipt(key)
        if found is None:
            raise Refused(404, "key", f"there is no receipt {key}")
        return found

    @routes.get("/anomalies", tag="receipts", query=ANOMALIES_QUERY)
    def anomalies(_request: Request, query: Query) -> AnomalousReceipts:
        """List receipts with anomalies and their evidence page by page, newest first."""
        return queries.anomalies(query)

    @routes.get("/anomalies/counts", tag="receipts", query=DAY_QUERY)
    def anomaly_counts(_request: Request, query: Query) -> AnomalyCounts:
        """Count the receipts of a business day by anomaly. A receipt may have several anomalies."""
        return queries.anomaly_counts(query.get("day"))

    @routes.get("/faults", tag="receipts")
    def faults(_request: Request, _query: Query) -> Faults:
        """List the damaged records that the engine found in the log."""
        return queries.faults()
