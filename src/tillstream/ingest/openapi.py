"""The routes and response types of ingest, from which `/openapi.json` is generated, and the documents at `/docs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from tillstream.formats.base import Decoder
from tillstream.formats.registry import Formats
from tillstream.http import html, openapi
from tillstream.http.html import Document
from tillstream.http.openapi import Body, JsonSchema, Operation, Response
from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.model import Fault, Receipt
from tillstream.receipt.validation import ID_LIMIT, ITEMS_LIMIT

DESCRIPTION = "Takes cash receipts. 202 means that they are on disk."
SECURITY = openapi.key_schemes("a key of `tillstream keys add`, once there is one")
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
"""The description of each response status to receipts."""

HTML = "text/html"
TEXT = "text/plain"

_LARGEST = int(AMOUNT_LIMIT) - 1
_DECIMAL = {"type": "string", "format": "decimal"}
_AMOUNT = {
    "oneOf": [
        {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
        {**_DECIMAL, "pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]+)?$"},
    ],
    "description": "exact; a number or its text",
}
_ID = {"maxLength": ID_LIMIT, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_DATE = {
    "format": "date-time-local",
    "description": "by the store's clock, 2026-11-23 10:15:00; or ISO 8601 with a zone",
}

Day = Annotated[str, Meta(extra_json_schema={"format": "date"}, description="business day of one receipt")]
Key = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"}, description="of one receipt")]


class Rejected(Struct, frozen=True):
    """A receipt of a batch that was refused, with every reason."""

    index: int
    errors: list[Fault]


class Outcome(Struct, frozen=True):
    """The outcome of a request with receipts. `skipped` counts records that are no sales, by kind."""

    accepted: int
    rejected: list[Rejected]
    receipt_key: Key | UnsetType = field(name="receiptKey", default=UNSET)
    day: Day | UnsetType = UNSET
    skipped: dict[str, int] | UnsetType = UNSET
    errors: list[Fault] | UnsetType = UNSET


class Live(Struct, frozen=True):
    """The process runs."""

    status: Literal["live"]


class Ready(Struct, frozen=True):
    """Whether receipts are accepted, and the reason where they are not."""

    status: Literal["ready", "unavailable"]
    reason: str | UnsetType = UNSET


def documents(formats: Formats) -> dict[str, Document]:
    """Return the OpenAPI document and the documents of `/docs` by path."""
    return {
        **html.documentation("tillstream ingest", lambda: document(formats), "/docs"),
        f"/docs/{html.DOCS_STYLE}": Document("text/css", (html.SWAGGER_UI / html.DOCS_STYLE).read_bytes),
        f"/docs/{html.DOCS_SCRIPT}": Document("text/javascript", (html.SWAGGER_UI / html.DOCS_SCRIPT).read_bytes),
    }


def document(formats: Formats) -> JsonSchema:
    """Return the OpenAPI document."""
    described = openapi.document("tillstream ingest", DESCRIPTION, operations(formats), SECURITY)
    components = described["components"]
    components["schemas"] = openapi.convert(components["schemas"], _with_amount)
    _add_rules(components["schemas"]["Receipt"]["properties"], next(iter(formats)).settings.currency)
    return described


def operations(formats: Formats) -> list[Operation]:
    """Return all routes with the types of their requests and responses."""
    receipts = Annotated[list[Receipt], Meta(min_length=1)]
    page = Body(str, HTML)
    return [
        _receipts("/receipt", "take_one", "Take one receipt", formats, Receipt, (page,)),
        _receipts("/receipts", "take_many", "Take many receipts: an array, or one a line", formats, receipts),
        _get("/receipt", "form", "Show a page on which to type a receipt", {200: Response("the page", (page,))}),
        _get("/health/live", "live", "Tell that the process runs", {200: Response("it runs", (Body(Live),))}),
        _get(
            "/health/ready",
            "ready",
            "Tell whether receipts are accepted",
            {200: Response("they are", (Body(Ready),)), 503: Response("not now, and why", (Body(Ready),))},
        ),
        _get(
            "/metrics",
            "metrics",
            "Read the metrics in the text format of Prometheus",
            {
                200: Response("the metrics", (Body(str, TEXT),)),
                401: Response("a key is needed"),
                403: Response("the key is not for reading"),
            },
            secured=True,
        ),
    ]


def _get(path: str, id: str, summary: str, responses: dict[int, Response], *, secured: bool = False) -> Operation:
    return Operation(method="get", path=path, id=id, summary=summary, responses=responses, secured=secured)


def _receipts(
    path: str, id: str, summary: str, formats: Formats, json_type: Any, pages: Sequence[Body] = ()
) -> Operation:
    """Return a route that accepts receipts in all formats. `pages` are responses to a form."""
    return Operation(
        method="post",
        path=path,
        id=id,
        summary=summary,
        responses={
            status: Response(text, (Body(Outcome) if status == 202 else Body(openapi.Errors), *pages))
            for status, text in RESPONSES.items()
        },
        request=[
            Body(json_type) if media_type == openapi.JSON else _text_body(decoder, media_type)
            for decoder in formats
            for media_type in decoder.media_types
            if not media_type.startswith("+")
        ],
        secured=True,
    )


def _text_body(decoder: Decoder, media_type: str) -> Body:
    text = Annotated[str, Meta(description=f"{decoder.title}, see docs/formats.md")]
    return Body(text, media_type, decoder.example)


def _with_amount(schema: JsonSchema) -> JsonSchema:
    """Replace the schema of a decimal, because receipts may contain amounts as numbers or as strings."""
    if not _DECIMAL.items() <= schema.items():
        return schema
    return {**_AMOUNT, "nullable": True} if schema.get("nullable") else _AMOUNT


def _add_rules(receipt: JsonSchema, currency: str) -> None:
    """Add the rules of validation that are not part of the type `Receipt`."""
    for name in ("cashReceiptID", "storeID", "terminalID"):
        text, number = receipt[name]["anyOf"]
        required = {} if name == "terminalID" else {"minLength": 1}
        receipt[name]["anyOf"] = [{**text, **_ID, **required}, number]
    for name in ("lines", "settlements"):
        receipt[name]["maxItems"] = ITEMS_LIMIT
    receipt["date"] |= _DATE
    receipt["currency"]["enum"] = [currency, "", None]
