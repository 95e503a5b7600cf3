"""The query API: `Queries` over HTTP, with its description, and every refusal in one form."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.errors import BadQuery, DatabaseUnavailable, OperationalError, UnknownMetric
from tillstream.metrics.catalogue import KEYS
from tillstream.queries.filters import DEFAULT_LIMIT, LIMIT
from tillstream.queries.overview.scope import DAYS_LIMIT
from tillstream.queries.queries import STORE_COLUMNS, Queries
from tillstream.verification.check import Report
from tillstream.web.api import schemas
from tillstream.web.api.csv_panels import PANELS
from tillstream.web.api.description import answered, as_table, described
from tillstream.web.live.feed import LiveFeed

RETRY_AFTER_S = "1"
BUSY_S = "10"
"""How soon one may ask for the live feed again that was full: a place is free once somebody leaves."""

Recount = Callable[[], Report]


class Answer(Response):
    """JSON of plain data."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def refusal(status: int, path: str, error: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that says what is wrong, where, and what would be right."""
    return Answer({"errors": [{"path": path, "error": error, "hint": hint}]}, status, headers)


TODAY = "business day, YYYY-MM-DD; without it: today"
PAGED = {
    "cursor": "`next` of the answer before, as it is",
    "limit": f"rows of one answer, 1 to {LIMIT}; without it {DEFAULT_LIMIT}",
}
KEY_FILTERS = {name: TODAY if name == "day" else f"only this {name.replace('_', ' ')}" for name in KEYS}
_OF_TYPES = {"DATE": schemas.DAY, "TIMESTAMP": schemas.LOCAL, "INTEGER": schemas.WHOLE}
KEY_SHAPES = {name: _OF_TYPES.get(key.type, schemas.TEXT) for name, key in KEYS.items()}
RECEIPT_FILTERS = {
    "day": "business day, YYYY-MM-DD; without it: any",
    "store": "store's id",
    "till": "till's id",
    "receipt": "the till's own number of the receipt",
    "from": "sold at or after, in the till's own time, YYYY-MM-DDTHH:MM:SS",
    "to": "sold before, in the till's own time",
    "min": "least gross amount",
    "max": "greatest gross amount",
    "anomaly": "with this anomaly; `any`: with one at least",
    "arrived": "received on this business day, YYYY-MM-DD, for another one",
    **PAGED,
}
OVERVIEW_FILTERS = {
    "day": TODAY,
    "from": "first business day of several, YYYY-MM-DD; with `to`, instead of `day`",
    "to": f"last business day, at most {DAYS_LIMIT} days",
    "vs": "first day to compare with, YYYY-MM-DD; without it: the same weekday a week before",
    "region": "only the shops of this region",
    "store": "only this store",
    "till": "only this till of `store`",
    "category": "only lines of this category",
    "product": "only lines of this product",
}
DAYS = dict.fromkeys(("from", "to"), schemas.DAY)
"""The shapes of those parameters where they are days."""

Name = Annotated[str, Path(description="a name that `/api/v1/metrics` lists")]
Panel = Annotated[str, Path(description=f"one of {', '.join(PANELS)}")]


def given(request: Request, parameters: Mapping[str, str]) -> dict[str, str]:
    """The query's parameters. Raises `BadQuery` for one that the route doesn't have or that comes twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in parameters:
            takes = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
            raise BadQuery(name, "there is no such parameter", takes)
        if name in found:
            raise BadQuery(name, "is given twice", "give it once")
        found[name] = value
    return found


REFUSED: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "A parameter is wrong",
        "content": {
            "application/json": {
                "example": {
                    "errors": [{"path": "day", "error": "expected a day, got 'x'", "hint": "write it as YYYY-MM-DD"}]
                }
            }
        },
    },
    401: {"description": "Once there is a password: neither it nor a key for reading came"},
    503: {"description": "The figures cannot be read now; try again after `Retry-After`"},
}

_NO_METRIC: dict[int | str, dict[str, Any]] = {404: {"description": "No such metric"}}

_ALERTS = {
    "alerts": [
        {
            "rule": "silent_shop",
            "level": "bad",
            "since": "2026-11-24T14:06:00",
            "subject": "12",
            "title": "Rennes Sainte-Anne",
            "values": {"minutes": 26},
            "link": "/shops/12?day=2026-11-24",
        }
    ],
    "more": 0,
}


def routes(queries: Queries, alerts: AlertEvaluator, live: LiveFeed, recount: Recount | None = None) -> APIRouter:
    """Everything under `/api/v1`. Queries run in threads, so a slow one holds up no other answer."""
    router = APIRouter(prefix="/api/v1", default_response_class=Answer, responses=REFUSED)
    _add_figures(router, queries)
    _add_stores(router, queries)
    _add_overview(router, queries)
    _add_receipts(router, queries)
    _add_alerts(router, alerts)
    _add_live(router, live)
    if recount is not None:
        _add_check(router, recount)
    return router


def _add_figures(router: APIRouter, queries: Queries) -> None:
    @router.get(
        "/summary", tags=["figures"], responses=answered(schemas.SUMMARY), openapi_extra=described({"day": TODAY})
    )
    def summary(request: Request) -> Any:
        """The day's figures, all of one commit. Money as decimal strings, delays as upper bounds of their buckets."""
        return Answer(queries.summary(given(request, {"day": TODAY}).get("day")))

    @router.get("/metrics", tags=["figures"], responses=answered(schemas.METRICS))
    def metrics(request: Request) -> Any:
        """The catalogue: every metric with its keys and measures."""
        given(request, {})
        return Answer({"metrics": queries.catalogue()})

    @router.get(
        "/metrics/{name}.csv",
        tags=["figures"],
        openapi_extra=described(KEY_FILTERS, KEY_SHAPES),
        response_class=Response,
        responses=as_table() | _NO_METRIC,
    )
    def metric_as_csv(name: Name, request: Request) -> Response:
        """The same rows as CSV (RFC 4180)."""
        answer = queries.metric(name, given(request, KEY_FILTERS))
        disposition = f'attachment; filename="{name}-{answer["day"]}.csv"'
        return Response(
            as_csv(answer["columns"], answer["rows"]), 200, {"Content-Disposition": disposition}, "text/csv"
        )

    @router.get(
        "/metrics/{name}",
        tags=["figures"],
        openapi_extra=described(KEY_FILTERS, KEY_SHAPES),
        responses=answered(schemas.METRIC) | _NO_METRIC,
    )
    def metric(name: Name, request: Request) -> Any:
        """The rows of one metric of one day. Every key column of the metric is a filter."""
        return Answer(queries.metric(name, given(request, KEY_FILTERS)))

    @router.get(
        "/snapshot", tags=["figures"], responses=answered(schemas.SNAPSHOT), openapi_extra=described({"day": TODAY})
    )
    def snapshot(request: Request) -> Any:
        """All that the page shows of a day, of one commit."""
        return Answer(queries.snapshot(given(request, {"day": TODAY}).get("day")))


def _add_stores(router: APIRouter, queries: Queries) -> None:
    @router.get("/stores", tags=["stores"], responses=answered(schemas.STORES))
    def stores(request: Request) -> Any:
        """The shops: those of the list, then those that sold without being in it (`listed`: false)."""
        given(request, {})
        return Answer({"stores": queries.stores()})

    @router.get("/stores.csv", tags=["stores"], response_class=Response, responses=as_table())
    def stores_as_csv(request: Request) -> Response:
        """The same as CSV (RFC 4180)."""
        given(request, {})
        disposition = 'attachment; filename="stores.csv"'
        text = as_csv(STORE_COLUMNS, queries.stores())
        return Response(text, 200, {"Content-Disposition": disposition}, "text/csv")


def _add_overview(router: APIRouter, queries: Queries) -> None:
    @router.get(
        "/overview",
        tags=["figures"],
        responses=answered(schemas.OVERVIEW),
        openapi_extra=described(OVERVIEW_FILTERS, DAYS),
    )
    def overview(request: Request) -> Any:
        """All that the dashboard shows of a part of the chain and of some days, all of one commit.

        While the last day is today, figures are compared with those of the other days up to the same
        minute of the tills' clocks; `change` is in percent, or `new` where there was nothing before.
        """
        return Answer(queries.overview(given(request, OVERVIEW_FILTERS)))

    @router.get(
        "/overview/{panel}.csv",
        tags=["figures"],
        openapi_extra=described(OVERVIEW_FILTERS, DAYS),
        response_class=Response,
        responses=as_table() | {404: {"description": "No such panel"}},
    )
    def panel_as_csv(panel: Panel, request: Request) -> Response:
        """What one panel of the overview shows, as CSV (RFC 4180)."""
        if panel not in PANELS:
            return refusal(404, "panel", f"there is no panel {panel!r}", f"there are {', '.join(PANELS)}")
        answer = queries.overview(given(request, OVERVIEW_FILTERS))
        columns, rows = PANELS[panel]
        days = answer["from"] if answer["from"] == answer["to"] else f"{answer['from']}-{answer['to']}"
        headers = {"Content-Disposition": f'attachment; filename="{panel}-{days}.csv"'}
        return Response(as_csv(columns, rows(answer)), 200, headers, "text/csv")


def _add_receipts(router: APIRouter, queries: Queries) -> None:
    @router.get(
        "/receipts", tags=["receipts"], responses=answered(schemas.RECEIPTS), openapi_extra=described(RECEIPT_FILTERS)
    )
    def receipts(request: Request) -> Any:
        """Receipts, the newest first, page by page."""
        return Answer(queries.receipts(given(request, RECEIPT_FILTERS)))

    @router.get(
        "/receipts/{key}",
        tags=["receipts"],
        responses=answered(schemas.RECEIPT) | {404: {"description": "No such receipt"}},
    )
    def receipt(key: Annotated[str, Path(description="the `receiptKey` that ingest answered")]) -> Any:
        """One receipt with its lines, settlements and original text; customers and agents are masked."""
        found = queries.receipt(key)
        return refusal(404, "key", f"there is no receipt {key}") if found is None else Answer(found)

    @router.get("/faults", tags=["receipts"], responses=answered(schemas.DAMAGE))
    def faults() -> Any:
        """Records of the log that were damaged when the engine came to them."""
        return Answer({"faults": queries.faults()})


def _add_alerts(router: APIRouter, evaluator: AlertEvaluator) -> None:
    @router.get("/alerts", tags=["operations"], responses=answered(schemas.ALERTS, example=_ALERTS))
    def alerts(request: Request) -> Any:
        """The alerts that stand, the worst first, and how many more there are; `docs/alerts.md` tells the rules."""
        given(request, {})
        return Answer(evaluator.current())


def _add_check(router: APIRouter, recount: Recount) -> None:
    one_at_a_time = Lock()

    @router.get("/check", tags=["operations"], responses=answered(schemas.CHECK))
    def check() -> Any:
        """What `tillstream check` compares: every metric and summary with a recount of the stored receipts."""
        with one_at_a_time:
            return Answer(recount())


class Watching(Response):
    """The live feed's stream, or a refusal while as many watch as may."""

    def __init__(self, live: LiveFeed) -> None:
        super().__init__()
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._live.full:
            hint = f"try again in {BUSY_S} s"
            answer = refusal(503, "", "as many watch as may", hint, {"Retry-After": BUSY_S})
            await answer(scope, receive, send)
        else:
            await self._live.stream(scope, receive, send)


def _add_live(router: APIRouter, live: LiveFeed) -> None:
    @router.get(
        "/live",
        tags=["live"],
        response_class=StreamingResponse,
        responses=answered({}, "text/event-stream"),
    )
    async def feed() -> Response:
        """Server-Sent Events: an `overview` of today within a second of a receipt, and every 5 s at least.

        `trouble` comes instead where the figures cannot be read. An event's id is the moment when it was
        made, in milliseconds since 1970. Each holds the whole state, so nothing that was missed is needed.
        """
        return Watching(live)


def as_csv(columns: Iterable[str], rows: Iterable[dict[str, Any]]) -> str:
    """Rows as CSV with a header line, lines ended by CRLF. A text that a spreadsheet would run is quoted by `'`."""
    names = list(columns)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        try:
            float(value)
        except ValueError:
            return f"'{value}"
    return value


def add_refusals(app: FastAPI) -> None:
    """Answer every error in the form of `refusal`."""

    def handle(kind: type[Exception], answer: Callable[[Request, Any], Answer]) -> None:
        app.add_exception_handler(kind, answer)

    def unavailable(_: Request, error: OperationalError) -> Answer:
        return refusal(503, "", error.because, error.hint or "try again", {"Retry-After": RETRY_AFTER_S})

    def invalid(_: Request, error: RequestValidationError) -> Answer:
        faults = [{"path": str(each["loc"][-1]), "error": each["msg"], "hint": ""} for each in error.errors()]
        return Answer({"errors": faults}, 400)

    handle(BadQuery, lambda _, error: refusal(400, error.path, error.error, error.hint))
    handle(UnknownMetric, lambda _, error: refusal(404, "name", str(error), "see /api/v1/metrics"))
    handle(DatabaseUnavailable, unavailable)
    handle(OperationalError, unavailable)
    handle(RequestValidationError, invalid)
    handle(
        HTTPException,
        lambda request, error: refusal(error.status_code, request.url.path, str(error.detail), "", error.headers),
    )
    handle(Exception, lambda *_: refusal(500, "", "this is a fault of the program", "see its log"))
