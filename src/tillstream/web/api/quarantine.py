"""The API of what was set aside and of what is odd: lists, counts, and the only routes that change anything."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Request
from msgspec import Struct
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from tillstream.config.settings import Settings
from tillstream.quarantine import service as outcomes
from tillstream.quarantine.service import ENTRIES_LIMIT, Edit, LocalQuarantineService, Outcome
from tillstream.queries.queries import Queries
from tillstream.queries.receipts import ANOMALIES
from tillstream.web.api import schemas
from tillstream.web.api.description import answered, described
from tillstream.web.api.routes import PAGED, RECEIPT_FILTERS, REFUSED, TODAY, Answer, given, refusal

QUARANTINE_FILTERS = {
    "day": "day of receipt, YYYY-MM-DD; without it: any",
    "kind": "refused, unreadable or conflict",
    "source": "format and entrance, such as json/http",
    "reason": "a reason that the counts list, or a text in a path or an error",
    "settled": "1: what was replayed or discarded; without it: what waits",
    **PAGED,
}
ANOMALY_FILTERS = {
    **{name: text for name, text in RECEIPT_FILTERS.items() if name not in ("anomaly", *PAGED)},
    "kind": f"one of {', '.join(ANOMALIES)}; without it: any",
    **PAGED,
}

Entry = Annotated[str, Path(description="`id` of an entry")]

_STATUS = {
    outcomes.REFUSED: 422,
    outcomes.RESOLVED: 409,
    outcomes.IMPOSSIBLE: 409,
    outcomes.MISSING: 404,
}
_POSTED: dict[int | str, dict[str, Any]] = {
    403: {"description": "It comes from a page of another site"},
    408: {"description": "The body took too long"},
    413: {"description": "The body is too large"},
    415: {"description": "The body is not application/json"},
}
_BECAME = answered(schemas.OUTCOME)[200]
_SETTLING: dict[int | str, dict[str, Any]] = {
    200: _BECAME,
    **_POSTED,
    404: {"description": "No such entry", **_BECAME},
    409: {"description": "It is settled already, or cannot be replayed", **_BECAME},
    422: {"description": "Ingest refused it again: every fault by its path; the entry stays", **_BECAME},
}
_EDIT = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "content": {"type": "string", "format": "byte", "description": "instead of what came, in base64"},
        "type": {"type": "string", "description": "media type or format; without it: that of the entry's source"},
    },
}
_ENTRIES = {
    "type": "object",
    "additionalProperties": False,
    "required": ["entries"],
    "properties": {"entries": {"type": "array", "maxItems": ENTRIES_LIMIT, "items": schemas.ENTRY}},
}


class _Chosen(Struct, forbid_unknown_fields=True):
    entries: list[str]


class _Nothing(Struct, forbid_unknown_fields=True):
    pass


def routes(queries: Queries, quarantine_service: LocalQuarantineService, settings: Settings) -> APIRouter:
    """`/api/v1/quarantine…` and `/api/v1/anomalies…`."""
    router = APIRouter(prefix="/api/v1", default_response_class=Answer, responses=REFUSED)
    _add_anomalies(router, queries)
    _add_reading(router, queries)
    _add_settling(router, quarantine_service, settings)
    return router


def _add_anomalies(router: APIRouter, queries: Queries) -> None:
    @router.get(
        "/anomalies",
        tags=["receipts"],
        responses=answered(schemas.ODD),
        openapi_extra=described(ANOMALY_FILTERS, {"kind": {"type": "string", "enum": list(ANOMALIES)}}),
    )
    def anomalies(request: Request) -> Any:
        """Receipts that something is odd about, each with the figures that show it, the newest first."""
        return Answer(queries.anomalies(given(request, ANOMALY_FILTERS)))

    @router.get(
        "/anomalies/counts",
        tags=["receipts"],
        responses=answered(schemas.ODD_COUNTS),
        openapi_extra=described({"day": TODAY}),
    )
    def anomaly_counts(request: Request) -> Any:
        """How many receipts of a business day have each anomaly; one may have several."""
        return Answer(queries.anomaly_counts(given(request, {"day": TODAY}).get("day")))


def _add_reading(router: APIRouter, queries: Queries) -> None:
    @router.get(
        "/quarantine",
        tags=["quarantine"],
        responses=answered(schemas.QUARANTINE),
        openapi_extra=described(QUARANTINE_FILTERS),
    )
    def quarantine(request: Request) -> Any:
        """What did not become a receipt, with the reasons, the newest first."""
        return Answer(queries.quarantine(given(request, QUARANTINE_FILTERS)))

    @router.get(
        "/quarantine/counts",
        tags=["quarantine"],
        responses=answered(schemas.QUARANTINE_COUNTS),
        openapi_extra=described({"day": TODAY}),
    )
    def counts(request: Request) -> Any:
        """What a day of receipt brought, by kind, reason and source, the most first, and what became of it."""
        return Answer(queries.quarantine_counts(given(request, {"day": TODAY}).get("day")))

    @router.get(
        "/quarantine/{entry}",
        tags=["quarantine"],
        responses=answered(schemas.QUARANTINED) | {404: {"description": "No such entry"}},
    )
    def quarantined(entry: Entry) -> Any:
        """One entry with what came, as text; customers and agents are masked. A conflict has both versions."""
        found = queries.quarantined(entry)
        return refusal(404, "id", f"there is no entry {entry}") if found is None else Answer(found)


def _add_settling(router: APIRouter, quarantine_service: LocalQuarantineService, settings: Settings) -> None:
    # In JSON an edited original takes a third more.
    limit_bytes = settings.receipt_limit_bytes * 4 // 3 + 4_096

    @router.post("/quarantine/{entry}/replay", tags=["quarantine"], responses=_SETTLING, openapi_extra=_body(_EDIT))
    async def replay(entry: Entry, request: Request) -> Any:
        """Post what came, or what was made of it, to ingest again; where all of it is taken the entry is settled."""
        edit = _read(await limited(request, limit_bytes, settings), Edit)
        return _answer(await run_in_threadpool(quarantine_service.replay, entry, edit))

    @router.post(
        "/quarantine/{entry}/discard",
        tags=["quarantine"],
        responses=_SETTLING,
        openapi_extra=_body({"type": "object", "additionalProperties": False}),
    )
    async def discard(entry: Entry, request: Request) -> Any:
        """Settle an entry without a replay; it stays in the log."""
        _read(await limited(request, limit_bytes, settings), _Nothing)
        [outcome] = await run_in_threadpool(quarantine_service.discard, [entry])
        return _answer(outcome)

    @router.post(
        "/quarantine/discard",
        tags=["quarantine"],
        responses=_POSTED | answered(schemas.OUTCOMES),
        openapi_extra=_body(_ENTRIES),
    )
    async def discard_many(request: Request) -> Any:
        """Settle many entries without a replay; what became of each stands in the answer."""
        chosen = _read(await limited(request, limit_bytes, settings), _Chosen)
        if len(chosen.entries) > ENTRIES_LIMIT:
            return refusal(400, "entries", f"there are more than {ENTRIES_LIMIT}", "send fewer at a time")
        return Answer({"entries": await run_in_threadpool(quarantine_service.discard, chosen.entries)})


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _answer(outcome: Outcome) -> Answer:
    return Answer(outcome, _STATUS.get(outcome.became, 200))


def _read(request: tuple[str, bytes], kind: type[Any]) -> Any:
    content_type, body = request
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body is not application/json")
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, str(error)) from error


async def limited(request: Request, limit_bytes: int, settings: Settings) -> tuple[str, bytes]:
    """The content type and the body, up to a limit and in time. Raises `HTTPException`."""
    body = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_ms / 1_000):
            async for part in request.stream():
                body += part
                if len(body) > limit_bytes:
                    raise HTTPException(413, f"the body has more than {limit_bytes} bytes")
    except TimeoutError:
        raise HTTPException(408, f"the body took longer than {settings.body_timeout_ms} ms") from None
    return request.headers.get("content-type", ""), bytes(body)
