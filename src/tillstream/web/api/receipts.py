"""Receipts, their anomalies, and damage of the log over HTTP."""

from __future__ import annotations

from starlette.requests import Request

from tillstream.queries.quarantine import Faults
from tillstream.queries.queries import Queries
from tillstream.queries.receipts import AnomalousReceipts, AnomalyCounts, ReceiptDetails, Receipts
from tillstream.queries.serialization import ReceiptKey
from tillstream.web.api.routing import ANOMALIES_QUERY, DAY_QUERY, RECEIPTS_QUERY, Api, Query, Refused, described


def api(queries: Queries) -> Api:
    """`/api/v1/receipts`, `/anomalies` and `/faults`."""
    routes = Api(tag="receipts")

    @routes.get("/receipts", query=RECEIPTS_QUERY)
    def receipts(_request: Request, query: Query) -> Receipts:
        """List receipts, the newest first, page by page."""
        return queries.receipts(query)

    @routes.get(
        "/receipts/{key}",
        path_types={"key": described(ReceiptKey, "the `receiptKey` that ingest answered")},
        refusals={404: "No such receipt"},
    )
    def receipt(request: Request, _query: Query) -> ReceiptDetails:
        """Read one receipt with its lines, settlements and original text. Customers and agents are masked."""
        key = request.path_params["key"]
        found = queries.receipt(key)
        if found is None:
            raise Refused(404, "key", f"there is no receipt {key}")
        return found

    @routes.get("/anomalies", query=ANOMALIES_QUERY)
    def anomalies(_request: Request, query: Query) -> AnomalousReceipts:
        """List receipts with anomalies, each with the figures that show them, the newest first."""
        return queries.anomalies(query)

    @routes.get("/anomalies/counts", query=DAY_QUERY)
    def anomaly_counts(_request: Request, query: Query) -> AnomalyCounts:
        """Count the receipts of a business day by anomaly. A receipt may have several."""
        return queries.anomaly_counts(query.get("day"))

    @routes.get("/faults")
    def faults(_request: Request, _query: Query) -> Faults:
        """List records of the log that were damaged when the engine read them."""
        return queries.faults()

    return routes
