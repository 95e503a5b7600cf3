"""OpenAPI documents, generated from operations and from the types of their parameters and bodies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from tillstream import __version__
from tillstream.receipt.model import Fault

# The packaged Swagger UI supports only OpenAPI 3.0.
VERSION = "3.0.3"
JSON = "application/json"
REF = "#/components/schemas/{name}"

JsonSchema = dict[str, Any]

_NULL = {"type": "null"}
_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_RETRY_STATUSES = (429, 503)


class Errors(msgspec.Struct, frozen=True):
    """Every reason why a request was refused."""

    errors: list[Fault]


class Body(NamedTuple):
    """A request or response body of one media type. Its schema is generated from `type`, a Python type."""

    type: Any
    media_type: str = JSON
    example: Any = None


ERRORS = (Body(Errors),)


class Response(NamedTuple):
    """A response of one status, with one body for each media type."""

    description: str
    bodies: Sequence[Body] = ERRORS


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `path_types` and `query` map the name of each parameter to its type."""

    method: str
    path: str
    id: str
    summary: str
    responses: Mapping[int, Response]
    description: str = ""
    tag: str = ""
    query: Mapping[str, Any] = field(default_factory=dict)
    path_types: Mapping[str, Any] = field(default_factory=dict)
    request: Sequence[Body] = ()
    secured: bool = False


def key_schemes(description: str) -> dict[str, JsonSchema]:
    """Return the security schemes of an API key. `description` says how to get a key."""
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": description},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "the same key"},
    }


def document(
    title: str, description: str, operations: Iterable[Operation], security: Mapping[str, JsonSchema]
) -> JsonSchema:
    """Return the OpenAPI document. Secured operations accept any one of the `security` schemes."""
    schemas: JsonSchema = {}
    paths: dict[str, JsonSchema] = {}
    for operation in operations:
        described = _operation(operation, schemas)
        if operation.secured:
            # The empty object allows requests without credentials, because a server without keys accepts them.
            described["security"] = [*({name: []} for name in security), {}]
        paths.setdefault(operation.path, {})[operation.method] = described
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": __version__, "description": description},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": dict(security)},
    }


def convert(schema: Any, change: Callable[[JsonSchema], JsonSchema]) -> Any:
    """Apply `change` to every object of a JSON Schema, inner objects first, and return the result."""
    if isinstance(schema, list):
        return [convert(part, change) for part in schema]
    if isinstance(schema, dict):
        return change({name: convert(part, change) for name, part in schema.items()})
    return schema


def _operation(operation: Operation, schemas: JsonSchema) -> JsonSchema:
    def parameter(place: str, name: str, python_type: Any) -> JsonSchema:
        schema = _schema(python_type, schemas)
        description = schema.pop("description", "")
        return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}

    def content(bodies: Sequence[Body]) -> JsonSchema:
        return {
            body.media_type: _without_empty(schema=_schema(body.type, schemas), example=body.example) for body in bodies
        }

    return _without_empty(
        operationId=operation.id,
        summary=operation.summary,
        description=operation.description,
        tags=[operation.tag] if operation.tag else [],
        parameters=[
            *(parameter("path", *each) for each in operation.path_types.items()),
            *(parameter("query", *each) for each in operation.query.items()),
        ],
        requestBody={"required": True, "content": content(operation.request)} if operation.request else None,
        responses={
            str(status): _without_empty(
                description=response.description,
                content=content(response.bodies),
                headers=_RETRY_AFTER if status in _RETRY_STATUSES else None,
            )
            for status, response in operation.responses.items()
        },
    )


def _without_empty(**fields: Any) -> JsonSchema:
    return {name: value for name, value in fields.items() if value}


def _schema(python_type: Any, schemas: JsonSchema) -> JsonSchema:
    """Return the schema of a type. Components that the schema uses are added to `schemas`."""
    [schema], components = msgspec.json.schema_components([python_type], ref_template=REF)
    schemas |= convert(components, _as_3_0)
    converted: JsonSchema = convert(schema, _as_3_0)
    return converted


def _as_3_0(schema: JsonSchema) -> JsonSchema:
    """Replace keywords that OpenAPI 3.0 does not have: `contentEncoding` and the type null."""
    if schema.pop("contentEncoding", None) == "base64":
        schema["format"] = "byte"
    if _NULL not in schema.get("anyOf", ()):
        return schema
    first, *others = (part for part in schema.pop("anyOf") if part != _NULL)
    # `nullable` must be next to a type, and a reference must be the only member of its object. So `allOf` wraps the
    # reference.
    nullable = {"allOf": [first], "nullable": True} if "$ref" in first else {**first, "nullable": True}
    if not others:
        return {**nullable, **schema}
    return {"anyOf": [nullable, *others], **schema}
