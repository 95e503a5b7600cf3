"""API routes for the quarantine. Only these routes of the API can change data."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from tillstream.config.settings import Settings
from tillstream.http import openapi
from tillstream.http.openapi import Body
from tillstream.quarantine import service as outcomes
from tillstream.quarantine.service import ENTRIES_LIMIT, Edit, LocalQuarantineService, Outcome
from tillstream.queries.quarantine import Entries, EntryDetails, QuarantineCounts
from tillstream.queries.queries import Queries
from tillstream.queries.serialization import EntryId
from tillstream.web.api.routing import DAY_QUERY, QUARANTINE_QUERY, Api, Query, Refused, described, read_body

_STATUS = {outcomes.REFUSED: 422, outcomes.RESOLVED: 409, outcomes.IMPOSSIBLE: 409, outcomes.MISSING: 404}
_REFUSALS = {
    403: "The request comes from a page of another site",
    408: "The body took too long",
    413: "The body is too large",
    415: "The body is not application/json",
}
_STAYS = {
    status: openapi.Response(text, (Body(Outcome),))
    for status, text in {
        404: "No such entry",
        409: "The entry is already resolved, or cannot be replayed",
        422: "Ingest refused the content again. The entry stays open",
    }.items()
}
_ENTRY = {"entry": described(EntryId, "`id` of an entry")}


class Discarding(Struct, forbid_unknown_fields=True):
    """The entries to discard."""

    entries: Annotated[list[EntryId], Meta(extra_json_schema={"maxItems": ENTRIES_LIMIT})]


class Nothing(Struct, forbid_unknown_fields=True):
    """An empty object."""


class Outcomes(Struct):
    """The outcome of each entry, in the order of the request."""

    entries: list[Outcome]


def api(queries: Queries, service: LocalQuarantineService, settings: Settings) -> Api:
    """Return the route `/api/v1/quarantine` and the routes below it."""
    routes = Api(tag="quarantine")
    _add_reading(routes, queries)
    _add_resolving(routes, service, settings)
    return routes


def _add_reading(routes: Api, queries: Queries) -> None:
    @routes.get("/quarantine", query=QUARANTINE_QUERY)
    def quarantine(_request: Request, query: Query) -> Entries:
        """List quarantine entries page by page, newest first."""
        return queries.quarantine(query)

    @routes.get("/quarantine/counts", query=DAY_QUERY)
    def quarantine_counts(_request: Request, query: Query) -> QuarantineCounts:
        """Count the entries of a day by kind, reason and source, and the decisions of that day."""
        return queries.quarantine_counts(query.get("day"))

    @routes.get("/quarantine/{entry}", path_types=_ENTRY, refusals={404: "No such entry"})
    def quarantined(request: Request, _query: Query) -> EntryDetails:
        """Return an entry with its original text. Personal data is masked. A conflict contains both versions."""
        entry = request.path_params["entry"]
        found = queries.quarantined(entry)
        if found is None:
            raise Refused(404, "id", f"there is no entry {entry}")
        return found


def _add_resolving(routes: Api, service: LocalQuarantineService, settings: Settings) -> None:
    # The body contains the edited original in base64, which makes it a third longer. The rest of the body is short.
    limit_bytes = settings.receipt_limit_bytes * 4 // 3 + 4_096

    async def body(request: Request, kind: type[Any]) -> Any:
        return _decode(request, await read_body(request, limit_bytes), kind)

    @routes.add(
        "post",
        "/quarantine/{entry}/replay",
        path_types=_ENTRY,
        request=Edit,
        refusals={**_REFUSALS, **_STAYS},
        status=_status,
    )
    async def replay(request: Request, _query: Query) -> Outcome:
        """Post the original or an edited version to ingest. If ingest accepts everything, the entry is resolved."""
        edit = await body(request, Edit)
        return await run_in_threadpool(service.replay, request.path_params["entry"], edit)

    @routes.add(
        "post",
        "/quarantine/{entry}/discard",
        path_types=_ENTRY,
        request=Nothing,
        refusals={**_REFUSALS, **_STAYS},
        status=_status,
    )
    async def discard(request: Request, _query: Query) -> Outcome:
        """Resolve an entry without a replay. Its record stays in the log."""
        await body(request, Nothing)
        [outcome] = await run_in_threadpool(service.discard, [request.path_params["entry"]])
        return outcome

    @routes.add("post", "/quarantine/discard", request=Discarding, refusals=_REFUSALS)
    async def discard_many(request: Request, _query: Query) -> Outcomes:
        """Resolve several entries without a replay. The response contains the outcome of each entry."""
        chosen = await body(request, Discarding)
        if len(chosen.entries) > ENTRIES_LIMIT:
            raise Refused(400, "entries", f"there are more than {ENTRIES_LIMIT}", "send fewer at a time")
        return Outcomes(await run_in_threadpool(service.discard, chosen.entries))


def _status(outcome: Outcome) -> int:
    return _STATUS.get(outcome.became, 200)


def _decode(request: Request, body: bytes, kind: type[Any]) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, request.url.path, "the body is not application/json")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, request.url.path, str(error)) from error
