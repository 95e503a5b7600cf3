"""Pages with lists: receipts, anomalies, shops, alerts and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from starlette.responses import HTMLResponse

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.errors import UnknownMetric
from tillstream.queries.metrics import MetricDescription
from tillstream.queries.queries import Queries
from tillstream.queries.receipts import ANOMALIES
from tillstream.web.api.routing import ANOMALIES_QUERY, METRIC_QUERY, RECEIPTS_QUERY
from tillstream.web.pages.rendering import Page, Pages

ROWS_LIMIT = 2_000
"""The maximum number of rows on the page of a metric."""

RECEIPT_FIELDS = {"day": "date", "store": "text", "till": "text", "receipt": "text"}


def add(pages: Pages, queries: Queries, alerts: AlertEvaluator) -> None:
    """Add `/receipts`, `/receipts/{key}`, `/anomalies`, `/shops`, `/alerts`, `/figures` and `/figures/{name}`."""
    _add_receipts(pages, queries)
    _add_anomalies(pages, queries)
    _add_shops(pages, queries, alerts)
    _add_figures(pages, queries)


def _add_receipts(pages: Pages, queries: Queries) -> None:
    @pages.add("/receipts", "receipts")
    def receipts(page: Page) -> HTMLResponse:
        filters = page.filters(RECEIPTS_QUERY)
        fields = RECEIPT_FIELDS | {"arrived": "date"} if "arrived" in filters else RECEIPT_FIELDS
        found = queries.receipts(filters)
        return page.render("receipts.html", filters=filters, fields=fields, found=found)

    @pages.add("/receipts/{key}", "receipts")
    def receipt(page: Page) -> HTMLResponse:
        found = queries.receipt(page.request.path_params["key"])
        if found is None:
            return page.missing("page_receipt", "receipt_not_found")
        # Line 0 contains the part of the total that no line covers. If this part is zero, the line is hidden.
        lines = [line for line in found.lines if line.line or Decimal(line.gross)]
        return page.render("receipt.html", receipt=found, lines=lines)


def _add_anomalies(pages: Pages, queries: Queries) -> None:
    @pages.add("/anomalies", "quarantine")
    def anomalies(page: Page) -> HTMLResponse:
        filters, text = page.filters(ANOMALIES_QUERY), page.localizer.text
        kinds = {"": text("any"), **{name: text(f"anomaly_{name}") for name in ANOMALIES}}
        return page.render(
            "anomalies.html",
            filters=filters,
            fields={"day": "date", "store": "text", "till": "text", "kind": kinds},
            counts=queries.anomaly_counts(filters.get("day")),
            found=queries.anomalies(filters),
        )


def _add_shops(pages: Pages, queries: Queries, alerts: AlertEvaluator) -> None:
    @pages.add("/shops", "shops")
    def shops(page: Page) -> HTMLResponse:
        # Links from the live page may contain `from`, `to` and `vs`. The list shows one day, so it ignores these.
        days = page.filters(dict.fromkeys(("day", "from", "to", "vs"), str))
        found = queries.metric("sales_by_store", {"day": days["day"]} if "day" in days else {})
        listed = queries.store_list()
        rows = sorted(found.rows, key=lambda row: (-int(row["receipts"] or 0), row["store"]))
        return page.render(
            "shops.html", found=found, rows=[(row, listed.get(str(row["store"])).region) for row in rows]
        )

    @pages.add("/alerts", "alerts")
    def active_alerts(page: Page) -> HTMLResponse:
        return page.render("alerts.html", found=alerts.current())


def _add_figures(pages: Pages, queries: Queries) -> None:
    metrics = {each.name: each for each in queries.catalogue()}

    @pages.add("/figures", "figures")
    def figures(page: Page) -> HTMLResponse:
        return page.render("figures.html", metrics=list(metrics.values()))

    @pages.add("/figures/{name}", "figures")
    def figure(page: Page) -> HTMLResponse:
        filters = page.filters(METRIC_QUERY)
        try:
            found = queries.metric(page.request.path_params["name"], filters)
        except UnknownMetric as error:
            return page.message("metric_not_found", str(error), 404)
        metric = metrics[found.metric]
        rows = found.rows[:ROWS_LIMIT]
        return page.render(
            "figure.html",
            metric=metric,
            found=found,
            query={"day": found.day, **filters},
            fields={key: "date" if key == "day" else "text" for key in metric.keys},
            keys=[key for key in metric.keys if key != "day"],
            rows=list(zip(rows, bars(rows, metric), strict=True)),
            left=len(found.rows) - len(rows),
        )


def bars(rows: Sequence[Mapping[str, Any]], metric: MetricDescription) -> list[int]:
    """Return the bar length of each row in percent of the longest bar. A bar shows the first measure of the metric.

    If this measure is neither an amount nor a count, all bars have the length 0.
    """
    first = metric.measures[0]
    if first.kind not in ("money", "count"):
        return [0] * len(rows)
    values = [abs(Decimal(row[first.name])) for row in rows]
    largest = max(values, default=Decimal(0))
    return [round(100 * value / largest) if largest else 0 for value in values]
