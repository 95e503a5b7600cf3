"""What `/openapi.json` says beyond what FastAPI finds out: parameters, the shapes of answers, and every refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tillstream.queries.filters import LIMIT
from tillstream.web.api.schemas import COUNT, DAY, ENTRY, ERRORS, KEY, LOCAL, Shape

VERSION = "3.0.3"
"""Swagger UI as packaged reads 3.0 only."""

JSON = "application/json"
CSV = "text/csv"

_BOUND: Shape = {"type": "string", "pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]{0,6})?$"}
_SHAPES: Mapping[str, Shape] = {
    **dict.fromkeys(("day", "arrived", "vs"), DAY),
    **dict.fromkeys(("from", "to"), LOCAL),
    **dict.fromkeys(("min", "max"), _BOUND),
    "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT},
    "cursor": {"type": "string", "pattern": "^[0-9]{1,17}-[0-9]{1,18}$"},
    "settled": {"type": "string", "enum": ["0", "1"]},
}
"""Of query parameters, by their names; of any other one a text."""

_PATHS: Mapping[str, Shape] = {"key": KEY, "entry": ENTRY}
_RETRY = {"Retry-After": {"description": "seconds", "schema": COUNT}}


def described(parameters: Mapping[str, str], shapes: Mapping[str, Shape] | None = None) -> dict[str, Any]:
    """Query parameters, all of them optional, for OpenAPI: what each means, and its shape where that is its own."""
    known = {**_SHAPES, **(shapes or {})}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": known.get(name, {"type": "string"}),
                "description": text,
            }
            for name, text in parameters.items()
        ]
    }


def answered(shape: Shape, media_type: str = JSON, **more: Any) -> dict[int | str, dict[str, Any]]:
    """The answer 200 of a route: its body has this shape."""
    return {200: {"content": {media_type: {"schema": shape, **more}}}}


def as_table() -> dict[int | str, dict[str, Any]]:
    """The answer 200 of a route that sends CSV."""
    return answered({"type": "string"}, CSV)


def describe(app: FastAPI, names: Mapping[str, Iterable[str]]) -> Callable[[], dict[str, Any]]:
    """What is to be the application's `openapi`; `names` are those that a parameter in a path may have."""
    paths = {**_PATHS, **{name: {"type": "string", "enum": list(known)} for name, known in names.items()}}
    made: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not made:
            found = get_openapi(
                title=app.title,
                version=app.version,
                openapi_version=VERSION,
                description=app.description,
                routes=app.routes,
            )
            # FastAPI describes refusals of its own there as well, and none of them is answered so.
            found.get("components", {}).pop("schemas", None)
            for methods in found["paths"].values():
                for operation in methods.values():
                    _complete(operation, paths)
            made.update(found)
        return made

    return openapi


def _complete(operation: dict[str, Any], paths: Mapping[str, Shape]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["schema"] = paths[parameter["name"]]
    answers = operation["responses"]
    if "security" in operation:
        answers["401"] = {"description": "it needs the password or a key for reading"}
        # The empty one stands for a dashboard that has no password.
        operation["security"].append({})
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    for status, answer in answers.items():
        if int(status) >= 400:
            answer.setdefault("content", {}).setdefault(JSON, {}).setdefault("schema", ERRORS)
        if status == "503":
            answer["headers"] = _RETRY
