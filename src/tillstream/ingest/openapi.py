"""What ingest tells about itself: `/openapi.json` and, for people, `/docs`, both without the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import swagger_ui_bundle

from tillstream import __version__
from tillstream.formats.base import Decoder
from tillstream.formats.registry import Formats
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
_NULL = {"type": "null"}
_ID = {"maxLength": ID_LIMIT, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_DATE = {
    "format": "date-time-local",
    "description": "by the store's clock, 2026-11-23 10:15:00; or ISO 8601 with a zone",
}

_TEXT = {"type": "string"}
_FAULTS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["path", "error", "hint"],
        "properties": {"path": _TEXT, "error": _TEXT, "hint": _TEXT},
    },
}
_ERRORS = {"type": "object", "required": ["errors"], "properties": {"errors": _FAULTS}}
_TAKEN = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "errors"],
                "properties": {"index": {"type": "integer"}, "errors": _FAULTS},
            },
        },
        "receiptKey": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "of one receipt"},
        "day": {"type": "string", "format": "date", "description": "business day of one receipt"},
        "skipped": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "by kind"},
    },
}
_STATUS = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": _TEXT, "reason": _TEXT},
}
_JSON = "application/json"
_HTML = "text/html"

_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tillstream ingest</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = b'SwaggerUIBundle({url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null});\n'


class Operation(NamedTuple):
    """One route as its readers see it: `answers` by status, `gives` their bodies by media type where they are no
    refusals, `takes` the schema of the body, `guarded`: by keys.
    """

    method: str
    summary: str
    answers: dict[int, str]
    gives: dict[str, dict[str, Any]]
    takes: dict[str, Any] | None = None
    guarded: bool = False


class Page(NamedTuple):
    """A fixed document; `headers` are whole lines."""

    content_type: str
    body: Callable[[], bytes]
    headers: bytes = b""


_KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "a key of `tillstream keys add`, once there is one"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
}

_RECEIPT = {"$ref": "#/components/schemas/Receipt"}
_TAKING = {
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

OPERATIONS = {
    "/receipt": (
        Operation("post", "Take one receipt", _TAKING, {_JSON: _TAKEN, _HTML: _TEXT}, _RECEIPT, guarded=True),
        Operation("get", "A page on which to type a receipt", {200: "the page"}, {_HTML: _TEXT}),
    ),
    "/receipts": (
        Operation(
            "post",
            "Take many receipts: an array, or one a line",
            _TAKING,
            {_JSON: _TAKEN},
            {"type": "array", "items": _RECEIPT, "minItems": 1},
            guarded=True,
        ),
    ),
    "/health/live": (Operation("get", "Whether the process runs", {200: "it does"}, {_JSON: _STATUS}),),
    "/health/ready": (
        Operation("get", "Whether receipts are taken", {200: "they are", 503: "not now, and why"}, {_JSON: _STATUS}),
    ),
    "/metrics": (
        Operation(
            "get",
            "Figures in the text format of Prometheus",
            {200: "the figures", 401: "a key is needed", 403: "the key is not for reading"},
            {"text/plain": _TEXT},
            guarded=True,
        ),
    ),
}


def pages(formats: Formats) -> dict[str, Page]:
    """The documents by path."""
    files = Path(str(swagger_ui_bundle.swagger_ui_path))
    return {
        "/openapi.json": Page("application/json", lambda: msgspec.json.encode(describe(formats))),
        "/docs": Page("text/html; charset=utf-8", lambda: _PAGE),
        "/docs/start.js": Page("text/javascript", lambda: _START),
        "/docs/swagger-ui.css": Page("text/css", (files / "swagger-ui.css").read_bytes),
        "/docs/swagger-ui-bundle.js": Page("text/javascript", (files / "swagger-ui-bundle.js").read_bytes),
    }


def describe(formats: Formats) -> dict[str, Any]:
    """The OpenAPI 3.0 document."""
    _, schemas = msgspec.json.schema_components([Receipt], ref_template="#/components/schemas/{name}")
    currency = next(iter(formats)).settings.currency
    return {
        # Swagger UI as packaged reads 3.0 only.
        "openapi": "3.0.3",
        "info": {
            "title": "tillstream ingest",
            "version": __version__,
            "description": "Takes cash receipts. 202 means that they are on disk.",
        },
        "paths": {
            path: {each.method: _describe(each, formats) for each in operations}
            for path, operations in OPERATIONS.items()
        },
        "components": {"schemas": _with_rules(_written(schemas), currency), "securitySchemes": _KEYS},
    }


def _describe(operation: Operation, formats: Formats) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {str(status): _answer(status, text, operation) for status, text in operation.answers.items()},
    }
    if operation.guarded:
        # The empty one stands for an ingest that has no keys.
        described["security"] = [{"bearer": []}, {"header": []}, {}]
    if operation.takes is not None:
        content = {
            media_type: {"schema": operation.takes} if media_type == _JSON else _document(decoder)
            for decoder in formats
            for media_type in decoder.media_types
            if not media_type.startswith("+")
        }
        described["requestBody"] = {"required": True, "content": content}
    return described


def _answer(status: int, text: str, operation: Operation) -> dict[str, Any]:
    refused = status >= 400 and operation.takes is not None
    bodies = {**operation.gives, _JSON: _ERRORS} if refused else operation.gives
    answer: dict[str, Any] = {
        "description": text,
        "content": {media_type: {"schema": schema} for media_type, schema in bodies.items()},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return answer


def _document(decoder: Decoder) -> dict[str, Any]:
    """A body of another format: what is right in it, no schema can say."""
    schema = {"type": "string", "description": f"{decoder.title}, see docs/formats.md"}
    return {"schema": schema, "example": decoder.example} if decoder.example else {"schema": schema}


def _written(schema: Any) -> Any:
    """The schema as OpenAPI 3.0 has it, with amounts as tills may write them: msgspec describes decimals as texts."""
    if schema == _AMOUNT:
        return _NUMBER
    if isinstance(schema, list):
        return [_written(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if _NULL in schema.get("anyOf", ()):
        parts = [part for part in schema["anyOf"] if part != _NULL]
        return _nullable(_written({"anyOf": parts} if len(parts) > 1 else parts[0]))
    return {name: _written(part) for name, part in schema.items()}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, or null; in 3.0 that is said beside a type only."""
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            first, *others = schema[kind]
            return {**schema, kind: [_nullable(first), *others]}
    return {**schema, "nullable": True}


def _with_rules(schemas: dict[str, Any], currency: str) -> dict[str, Any]:
    """What validation asks beyond types."""
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
