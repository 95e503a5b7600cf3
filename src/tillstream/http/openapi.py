"""OpenAPI documents, generated from operations and from the types of their requests and responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tillstream import __version__
from tillstream.receipt.model import Fault

# The packaged Swagger UI reads OpenAPI 3.0 only.
VERSION = "3.0.3"
JSON = "application/json"
REF = "#/components/schemas/{name}"

_NULL = {"type": "null"}
_RETRY_AFTER = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
_RETRY_STATUSES = (429, 503)


class Errors(msgspec.Struct, frozen=True):
    """Every reason why a request was refused."""

    errors: list[Fault]


@dataclass(frozen=True, slots=True)
class Body:
    """A request or response body of one media type. `type` is the Python type that its schema is made from."""

    type: Any
    media_type: str = JSON
    description: str = ""
    example: Any = None


ERRORS = (Body(Errors),)
JsonSchema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Response:
    """A response of one status, with its body in each media type."""

    description: str
    bodies: Sequence[Body] = ERRORS


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `query` and `path_types` have the type of each parameter by its name."""

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


def document(
    title: str, description: str, operations: Iterable[Operation], security: Mapping[str, JsonSchema]
) -> JsonSchema:
    """The whole document. `security` has the schemes, any one of which admits to a secured operation."""
    schemas = _Schemas()
    paths: dict[str, JsonSchema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas, security)
    return {
        "openapi": VERSION,
        "info": {"title": title, "version": __version__, "description": description},
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": dict(security)},
    }


class _Schemas:
    """The schemas of types, and those components that they refer to."""

    def __init__(self) -> None:
        self.components: JsonSchema = {}

    def of(self, python_type: Any) -> JsonSchema:
        [schema], found = msgspec.json.schema_components([python_type], ref_template=REF)
        self.components |= {name: _as_3_0(each) for name, each in found.items()}
        converted: JsonSchema = _as_3_0(schema)
        return converted

    def parameters(self, place: str, types: Mapping[str, Any]) -> list[JsonSchema]:
        """The parameters in `path` or `query`; those in a path are required."""
        return [self._parameter(name, place, self.of(each)) for name, each in types.items()]

    def _parameter(self, name: str, place: str, schema: JsonSchema) -> JsonSchema:
        description = schema.pop("description", "")
        return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}

    def content(self, bodies: Sequence[Body]) -> JsonSchema:
        return {body.media_type: self._media(body) for body in bodies}

    def _media(self, body: Body) -> JsonSchema:
        schema = self.of(body.type)
        if body.description:
            schema["description"] = body.description
        return {"schema": schema} if body.example is None else {"schema": schema, "example": body.example}


def _operation(operation: Operation, schemas: _Schemas, security: Mapping[str, Any]) -> JsonSchema:
    described: JsonSchema = {"operationId": operation.id, "summary": operation.summary}
    if operation.tag:
        described["tags"] = [operation.tag]
    if operation.description:
        described["description"] = operation.description
    described["parameters"] = [
        *schemas.parameters("path", operation.path_types),
        *schemas.parameters("query", operation.query),
    ]
    if operation.request:
        described["requestBody"] = {"required": True, "content": schemas.content(operation.request)}
    described["responses"] = {}
    for status, response in operation.responses.items():
        described["responses"][str(status)] = {
            "description": response.description,
            "content": schemas.content(response.bodies),
            **({"headers": _RETRY_AFTER} if status in _RETRY_STATUSES else {}),
        }
    if operation.secured:
        # The empty requirement stands for a server without keys and password.
        described["security"] = [*({name: []} for name in security), {}]
    return described


def _as_3_0(schema: Any) -> Any:
    """A JSON Schema as OpenAPI 3.0 writes it: `nullable` instead of the type null, `byte` for base64."""
    if isinstance(schema, list):
        return [_as_3_0(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        return {"type": "string", "format": "byte"}
    if _NULL in schema.get("anyOf", ()):
        rest = {name: part for name, part in schema.items() if name != "anyOf"}
        parts = [part for part in schema["anyOf"] if part != _NULL]
        return _nullable(_as_3_0({**rest, "anyOf": parts} if len(parts) > 1 else {**parts[0], **rest}))
    return {name: _as_3_0(part) for name, part in schema.items()}


def _nullable(schema: JsonSchema) -> JsonSchema:
    """The schema, or null. OpenAPI 3.0 allows `nullable` only beside a type, and nothing beside a reference."""
    if "anyOf" in schema:
        first, *others = schema["anyOf"]
        return {**schema, "anyOf": [_nullable(first), *others]}
    return {"allOf": [schema], "nullable": True} if "$ref" in schema else {**schema, "nullable": True}
