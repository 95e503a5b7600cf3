"""What ingest tells about itself: `/openapi.json` and, for people, `/docs`, both without the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import swagger_ui_bundle

from tillstream import __version__
from tillstream.formats.base import Formats
from tillstream.receipt import Receipt

_AMOUNT = {"type": "string", "format": "decimal"}
_NUMBER = {
    "oneOf": [{"type": "number"}, {"type": "string", "format": "decimal"}],
    "description": "exact; a number or its text",
}

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
    """One route as its readers see it: `answers` by status, `takes` the schema of the body."""

    method: str
    summary: str
    answers: dict[int, str]
    takes: dict[str, Any] | None = None


class Page(NamedTuple):
    """A fixed document."""

    content_type: str
    body: Callable[[], bytes]


_RECEIPT = {"$ref": "#/components/schemas/Receipt"}
_TAKING = {
    202: "durable: on disk",
    400: "not parseable, or the body broke off; kept in quarantine",
    408: "the body took too long",
    413: "over a limit",
    415: "unknown media type or content encoding",
    422: "not a receipt: every fault by its path; kept in quarantine",
    429: "the store sends more than its rate; send again after Retry-After, it will count once",
    431: "the headers are over a limit",
    503: "the log is full, down or behind; send again after Retry-After, it will count once",
}

OPERATIONS = {
    "/receipt": Operation("post", "Take one receipt", _TAKING, _RECEIPT),
    "/receipts": Operation(
        "post", "Take many receipts: an array, or one a line", _TAKING, {"type": "array", "items": _RECEIPT}
    ),
    "/health/live": Operation("get", "Whether the process runs", {200: "it does"}),
    "/health/ready": Operation("get", "Whether receipts are taken", {200: "they are", 503: "not now, and why"}),
    "/metrics": Operation("get", "Figures in the text format of Prometheus", {200: "the figures"}),
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
    return {
        # Swagger UI as packaged reads 3.0 only.
        "openapi": "3.0.3",
        "info": {
            "title": "tillstream ingest",
            "version": __version__,
            "description": "Takes cash receipts. 202 means that they are on disk.",
        },
        "paths": {path: {operation.method: _describe(operation, formats)} for path, operation in OPERATIONS.items()},
        "components": {"schemas": _with_numbers(schemas)},
    }


def _describe(operation: Operation, formats: Formats) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "responses": {str(status): {"description": text} for status, text in operation.answers.items()},
    }
    if operation.takes is not None:
        content = {media_type: {"schema": operation.takes} for media_type in formats.media_types}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _with_numbers(schema: Any) -> Any:
    """The schema with amounts as tills may write them: msgspec describes decimals as texts only."""
    if schema == _AMOUNT:
        return _NUMBER
    if isinstance(schema, dict):
        return {name: _with_numbers(part) for name, part in schema.items()}
    if isinstance(schema, list):
        return [_with_numbers(part) for part in schema]
    return schema
