"""Ingest's routes and their types, from which `/openapi.json` is generated, and the page at `/docs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from tillstream.formats.base import Decoder
from tillstream.formats.registry import Formats
from tillstream.http import api_docs, openapi
from tillstream.http.openapi import Body, JsonSchema, Operation, Response
from tillstream.ingest.schemas import Live, Outcome, Ready
from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.model import Receipt
from tillstream.receipt.validation import ID_LIMIT, ITEMS_LIMIT

_AMOUNT = {"type": "string", "format": "decimal"}
_LARGEST = int(AMOUNT_LIMIT) - 1
_NUMBER = {
    "oneOf": [
        {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
        {"type": "string", "format": "decimal", "pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]+)?$"},
    ],
    "description": "exact; a number or its text",
}
_ID = {"maxLength": ID_LIMIT, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_DATE = {
    "format": "date-time-local",
    "description": "by the store's clock, 2026-11-23 10:15:00; or ISO 8601 with a zone",
}

DESCRIPTION = "Takes cash receipts. 202 means that they are on disk."
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key of `tillstream keys add`, once there is one"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}
HTML = "text/html"
TEXT = "text/plain"


class Page(NamedTuple):
    """A fixed document; `headers` are whole lines."""

    content_type: str
    body: Callable[[], bytes]
    headers: bytes = b""


RESPONSES = {
    202: "durable: on disk",
    400: "not parseable, or the body broke off; kept in quarantine",
    401: "a key is needed; nothing is kept",
    403: "a form that a page of another address sent, or a key for other stores; nothing is kept. In a batch the others are listed, and this comes where none is left",
    408: "the body took too long",
    413: "over a limit",
    415: "unknown media type or content encoding",
    422: "not a receipt: every fault by its path; kept in quarantine",
    429: "the store sends more than its rate; send again after Retry-After, it will count once",
    431: "the headers are over a limit",
    503: "the log is full, down or behind; send again after Retry-After, it will count once",
}


def pages(formats: Formats) -> dict[str, Page]:
    """The documents by path."""
    return {
        "/openapi.json": Page(openapi.JSON, lambda: msgspec.json.encode(document(formats))),
        "/docs": Page("text/html; charset=utf-8", cache(lambda: api_docs.page("tillstream ingest", "/docs").encode())),
        "/docs/start.js": Page("text/javascript", lambda: api_docs.START),
        f"/docs/{api_docs.STYLE}": Page("text/css", (api_docs.SWAGGER_UI / api_docs.STYLE).read_bytes),
        f"/docs/{api_docs.SCRIPT}": Page("text/javascript", (api_docs.SWAGGER_UI / api_docs.SCRIPT).read_bytes),
    }


def document(formats: Formats) -> JsonSchema:
    """The OpenAPI document."""
    described = openapi.document("tillstream ingest", DESCRIPTION, operations(formats), SECURITY)
    components = described["components"]
    currency = next(iter(formats)).settings.currency
    components["schemas"] = _with_rules(_with_amounts(components["schemas"]), currency)
    return described


def operations(formats: Formats) -> list[Operation]:
    """Every route, with the types of its requests and answers."""
    return [
        _receipts("/receipt", "take_one", "Take one receipt", formats, Receipt, (Body(Outcome), Body(str, HTML))),
        _receipts(
            "/receipts",
            "take_many",
            "Take many receipts: an array, or one a line",
            formats,
            Annotated[list[Receipt], Meta(min_length=1)],
            (Body(Outcome),),
        ),
        _get("/receipt", "form", "Show a page on which to type a receipt", Response("the page", (Body(str, HTML),))),
        _get("/health/live", "live", "Tell that the process runs", Response("it runs", (Body(Live),))),
        _get(
            "/health/ready",
            "ready",
            "Tell whether receipts are accepted",
            Response("they are", (Body(Ready),)),
            {503: Response("not now, and why", (Body(Ready),))},
        ),
        _get(
            "/metrics",
            "metrics",
            "Read the metrics in the text format of Prometheus",
            Response("the metrics", (Body(str, TEXT),)),
            {401: Response("a key is needed"), 403: Response("the key is not for reading")},
            secured=True,
        ),
    ]


def _get(
    path: str,
    id: str,
    summary: str,
    answer: Response,
    refusals: dict[int, Response] | None = None,
    *,
    secured: bool = False,
) -> Operation:
    responses = {200: answer, **(refusals or {})}
    return Operation(method="get", path=path, id=id, summary=summary, responses=responses, secured=secured)


def _receipts(path: str, id: str, summary: str, formats: Formats, kind: Any, accepted: Sequence[Body]) -> Operation:
    """A route that takes receipts. People who sent a form get refusals as a page too."""
    pages = tuple(body for body in accepted if body.media_type == HTML)
    refusals = {
        status: Response(text, (*openapi.ERRORS, *pages)) for status, text in RESPONSES.items() if status != 202
    }
    return Operation(
        method="post",
        path=path,
        id=id,
        summary=summary,
        responses={202: Response(RESPONSES[202], accepted), **refusals},
        request=[
            Body(kind) if media_type == openapi.JSON else _document(decoder, media_type)
            for decoder in formats
            for media_type in decoder.media_types
            if not media_type.startswith("+")
        ],
        secured=True,
    )


def _document(decoder: Decoder, media_type: str) -> Body:
    """A body in another format, whose rules no schema can describe."""
    return Body(str, media_type, f"{decoder.title}, see docs/formats.md", decoder.example or None)


def _with_amounts(schema: Any) -> Any:
    """The schema with amounts as tills may write them: msgspec describes decimals as texts."""
    if isinstance(schema, dict):
        if _AMOUNT.items() <= schema.items():
            nullable = {"nullable": True} if schema.get("nullable") else {}
            return {**_NUMBER, **nullable}
        return {name: _with_amounts(part) for name, part in schema.items()}
    return [_with_amounts(part) for part in schema] if isinstance(schema, list) else schema


def _with_rules(schemas: dict[str, Any], currency: str) -> dict[str, Any]:
    """The schemas with the rules of validation that types do not express."""
    receipt = schemas["Receipt"]["properties"]
    for name in ("cashReceiptID", "storeID", "terminalID"):
        text, number = receipt[name]["anyOf"]
        least = {} if name == "terminalID" else {"minLength": 1}
        receipt[name]["anyOf"] = [{**text, **_ID, **least}, number]
    for name in ("lines", "settlements"):
        receipt[name]["maxItems"] = ITEMS_LIMIT
    receipt["date"] |= _DATE
    receipt["currency"]["enum"] = [currency, "", None]
    return schemas
