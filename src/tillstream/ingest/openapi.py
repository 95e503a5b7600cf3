"""The routes and response types of ingest. `/openapi.json` is generated from them, and `/docs` shows it."""

from __future__ import annotations

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

DESCRIPTION = "Accepts cash receipts. Status 202 means that they are stored on disk."
SECURITY = openapi.key_schemes("an API key, if keys exist; `tillstream keys add` creates one")
RESPONSES = {
    202: "stored on disk",
    400: "the body is not parseable or incomplete; it is kept in quarantine",
    401: "the key is missing or invalid; nothing is stored",
    403: "the key is for other stores, or a page of another site sent the request; nothing is stored. A batch gets this status only if none of its receipts is accepted",
    408: "the body took too long",
    413: "a size limit is exceeded",
    415: "unknown media type or content encoding",
    422: "not a valid receipt, with every error and its path; it is kept in quarantine",
    429: "the store exceeds its rate limit; send the request again after Retry-After, each receipt counts once",
    431: "the headers exceed a limit",
    503: "the log is full, unavailable or behind; send the request again after Retry-After, each receipt counts once",
}
"""What each status means in the response to a request with receipts."""

HTML = "text/html"
TEXT = "text/plain"

_LARGEST = int(AMOUNT_LIMIT) - 1
_DECIMAL = {"type": "string", "format": "decimal"}
_AMOUNT = {
    "oneOf": [
        {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
        {**_DECIMAL, "pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]+)?$"},
    ],
    "description": "exact decimal, as a number or a string",
}
_ID = {"maxLength": ID_LIMIT, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_DATE = {
    "format": "date-time-local",
    "description": "local time of the store, such as 2026-11-23 10:15:00, or ISO 8601 with a time zone",
}

Day = Annotated[
    str, Meta(extra_json_schema={"format": "date"}, description="business day of the receipt, if there is exactly one")
]
Key = Annotated[
    str,
    Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"}, description="key of the receipt, if there is exactly one"),
]


class Rejected(Struct, frozen=True):
    """A refused receipt of a batch, with every error. `index` is its position in the batch."""

    index: int
    errors: list[Fault]


class Outcome(Struct, frozen=True):
    """The outcome of a request with receipts. `skipped` counts records that are not sales, by kind."""

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
    """Whether receipts are accepted, and the reason if they are not."""

    status: Literal["ready", "unavailable"]
    reason: str | UnsetType = UNSET


def documents(formats: Formats) -> dict[str, Document]:
    """Return the OpenAPI document, the page `/docs` and the files of this page, by URL path."""
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
    many = "Accept many receipts: a JSON array, or one receipt per line"
    ready = {
        200: Response("receipts are accepted", (Body(Ready),)),
        503: Response("receipts are not accepted; `reason` says why", (Body(Ready),)),
    }
    metrics = {
        200: Response("the metrics", (Body(str, TEXT),)),
        401: Response("the key is missing or invalid"),
        403: Response("the key is not valid for reading"),
    }
    live = {200: Response("the process runs", (Body(Live),))}
    return [
        _receipts("/receipt", "take_one", "Accept one receipt", formats, Receipt, page),
        _receipts("/receipts", "take_many", many, formats, receipts),
        Operation(
            "get", "/receipt", "form", "Show the form for entering a receipt", {200: Response("the form", (page,))}
        ),
        Operation("get", "/health/live", "live", "Check that the process runs", live),
        Operation("get", "/health/ready", "ready", "Check whether receipts are accepted", ready),
        Operation(
            "get", "/metrics", "metrics", "Read the metrics in the Prometheus text format", metrics, secured=True
        ),
    ]


def _receipts(path: str, id: str, summary: str, formats: Formats, json_type: Any, *pages: Body) -> Operation:
    """Return a route that accepts receipts in all formats. `pages` are the HTML responses to forms."""
    responses = {
        status: Response(text, (Body(Outcome if status == 202 else openapi.Errors), *pages))
        for status, text in RESPONSES.items()
    }
    request = [
        Body(json_type) if media_type == openapi.JSON else _text_body(decoder, media_type)
        for decoder in formats
        for media_type in decoder.media_types
        if not media_type.startswith("+")
    ]
    return Operation("post", path, id, summary, responses, request=request, secured=True)


def _text_body(decoder: Decoder, media_type: str) -> Body:
    text = Annotated[str, Meta(description=f"{decoder.title}, see docs/formats.md")]
    return Body(text, media_type, decoder.example)


def _with_amount(schema: JsonSchema) -> JsonSchema:
    """Let the schema of a decimal allow both numbers and strings. Other schemas are returned unchanged."""
    if not _DECIMAL.items() <= schema.items():
        return schema
    return {**_AMOUNT, "nullable": True} if schema.get("nullable") else _AMOUNT


def _add_rules(receipt: JsonSchema, currency: str) -> None:
    """Add the validation rules that the type `Receipt` cannot express. `receipt` contains the schemas of its fields."""
    for name in ("cashReceiptID", "storeID", "terminalID"):
        text, number = receipt[name]["anyOf"]
        required = {} if name == "terminalID" else {"minLength": 1}
        receipt[name]["anyOf"] = [{**text, **_ID, **required}, number]
    for name in ("lines", "settlements"):
        receipt[name]["maxItems"] = ITEMS_LIMIT
    receipt["date"] |= _DATE
    receipt["currency"]["enum"] = [currency, "", None]
