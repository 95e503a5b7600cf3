"""API routes and their query parameters, with the types from which the OpenAPI document is generated."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillstream.errors import BadQuery
from tillstream.http import openapi
from tillstream.http.openapi import Body, Errors, Operation
from tillstream.metrics.catalogue import KEYS
from tillstream.queries.filters import DEFAULT_LIMIT, LIMIT
from tillstream.queries.overview.scope import DAYS_LIMIT
from tillstream.queries.receipts import ANOMALIES
from tillstream.queries.serialization import Day, LocalTime
from tillstream.receipt.model import Fault

Query = Mapping[str, str]
"""The values of query parameters by name. `tillstream.queries` checks them."""

Parameters = Mapping[str, Any]
"""The type of each parameter by name. All query parameters are optional."""

Handler = Callable[[Request, Query], Any]

COMMON_REFUSALS = {
    400: "A parameter or the body is invalid",
    401: "The password or a key for reading is required",
    503: "The figures cannot be read now; try again after `Retry-After`",
}


def described(kind: Any, text: str) -> Any:
    """Return the type with a description."""
    return Annotated[kind, Meta(description=text)]


_Bound = Annotated[str, Meta(extra_json_schema={"pattern": r"^[+-]?[0-9]{1,13}(\.[0-9]{0,6})?$"})]
_Cursor = Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]{1,17}-[0-9]{1,18}$"})]
_Limit = Annotated[int, Meta(ge=1, le=LIMIT)]
_KeyNumber = Annotated[int, Meta(ge=-999_999_999, le=999_999_999)]
_KEY_TYPES: Parameters = {"DATE": Day, "TIMESTAMP": LocalTime, "INTEGER": _KeyNumber}

NO_QUERY: Parameters = {}
DAY_QUERY: Parameters = {"day": described(Day, "business day, YYYY-MM-DD; without it: today")}
METRIC_QUERY: Parameters = {
    **{
        name: described(_KEY_TYPES.get(key.type, str), f"only this {name.replace('_', ' ')}")
        for name, key in KEYS.items()
    },
    **DAY_QUERY,
}
_PAGE: Parameters = {
    "cursor": described(_Cursor, "`next` of the previous response, unchanged"),
    "limit": described(_Limit, f"maximum number of rows, 1 to {LIMIT}; without it: {DEFAULT_LIMIT}"),
}
_SALE: Parameters = {
    "day": described(Day, "business day, YYYY-MM-DD; without it: any"),
    "store": described(str, "id of the store"),
    "till": described(str, "id of the till"),
    "receipt": described(str, "receipt number of the till"),
    "from": described(LocalTime, "sold at or after this local time of the till, YYYY-MM-DDTHH:MM:SS"),
    "to": described(LocalTime, "sold before this local time of the till"),
    "min": described(_Bound, "minimum gross amount"),
    "max": described(_Bound, "maximum gross amount"),
}
_ARRIVED = described(Day, "received on this business day, YYYY-MM-DD, but sold on another")
RECEIPTS_QUERY: Parameters = {
    **_SALE,
    "anomaly": described(str, "with this anomaly; `any`: with at least one"),
    "arrived": _ARRIVED,
    **_PAGE,
}
ANOMALIES_QUERY: Parameters = {
    **_SALE,
    "arrived": _ARRIVED,
    "kind": described(Literal[ANOMALIES], f"one of {', '.join(ANOMALIES)}; without it: any"),
    **_PAGE,
}
QUARANTINE_QUERY: Parameters = {
    "day": described(Day, "day of receipt, YYYY-MM-DD; without it: any"),
    "kind": described(str, "refused, unreadable or conflict"),
    "source": described(str, "format and channel, such as json/http"),
    "reason": described(str, "a reason from the counts, or part of a path or an error"),
    "settled": described(Literal["0", "1"], "1: replayed or discarded entries; without it: open entries"),
    **_PAGE,
}
OVERVIEW_QUERY: Parameters = {
    **DAY_QUERY,
    "from": described(Day, "first business day, YYYY-MM-DD; with `to`, instead of `day`"),
    "to": described(Day, f"last business day, at most {DAYS_LIMIT} days"),
    "vs": described(Day, "first day to compare with, YYYY-MM-DD; without it: the same weekday of the previous week"),
    "region": described(str, "only the shops of this region"),
    "store": described(str, "only this store"),
    "till": described(str, "only this till of `store`"),
    "category": described(str, "only lines of this category"),
    "product": described(str, "only lines of this product"),
}


class JsonResponse(Response):
    """A response whose content is encoded as JSON by msgspec."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def refusal(status: int, path: str, error: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with one error. `path` is the invalid part of the request."""
    return JsonResponse(Errors([Fault(path, error, hint)]), status, headers)


class Refused(Exception):
    """Ends the handling of a request with a refusal."""

    def __init__(self, status: int, path: str, error: str, hint: str = "") -> None:
        self.response = refusal(status, path, error, hint)
        super().__init__(error)


def read_query(request: Request, known: Collection[str]) -> dict[str, str]:
    """Return the query parameters. Raises `BadQuery` if one of them is not in `known` or is repeated."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            hint = f"use {', '.join(known)}" if known else "this path has no parameters"
            raise BadQuery(name, "there is no such parameter", hint)
        if name in found:
            raise BadQuery(name, "is repeated", "send it once")
        found[name] = value
    return found


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the body of a request. Raises `Refused` if it has more than `limit_bytes`."""
    body = await request.body()
    if len(body) > limit_bytes:
        raise Refused(413, request.url.path, f"the body has more than {limit_bytes} bytes")
    return body


class Api:
    """A group of routes and their OpenAPI operations."""

    def __init__(self, prefix: str = "/api/v1", *, tag: str = "", secured: bool = True) -> None:
        self.routes: list[Route] = []
        self.operations: list[Operation] = []
        self._prefix = prefix
        self._tag = tag
        self._secured = secured

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """Like `add`, with the method GET."""
        return self.add("get", path, **options)

    def add(
        self,
        method: str,
        path: str,
        *,
        tag: str = "",
        query: Parameters | None = None,
        path_types: Parameters | None = None,
        request: Any = None,
        body: Body | None = None,
        refusals: Mapping[int, str | openapi.Response] | None = None,
        status: Callable[[Any], int] = lambda _: 200,
    ) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a handler. The name and docstring of the handler describe the operation.

        - `query`: the query parameters; all others are rejected. If it is None, all parameters are ignored.
        - `path_types`: the types of the parameters in the path.
        - `request`: the type of the JSON request body.
        - `body`: the response body; by default, JSON of the return type of the handler.
        - `refusals`: error responses by status, or only their descriptions.
        - `status`: returns the response status for the return value of the handler.
        """

        def register(handler: Handler) -> Handler:
            response = body or Body(inspect.get_annotations(handler, eval_str=True)["return"])
            further = {**(COMMON_REFUSALS if self._secured else {}), **(refusals or {})}
            self.operations.append(
                Operation(
                    method=method,
                    path=self._prefix + path,
                    id=handler.__name__,
                    summary=handler.__name__.replace("_", " ").capitalize(),
                    description=inspect.getdoc(handler) or "",
                    responses={
                        200: openapi.Response("OK", (response,)),
                        **{
                            code: openapi.Response(each) if isinstance(each, str) else each
                            for code, each in further.items()
                        },
                    },
                    tag=tag or self._tag,
                    query=query or {},
                    path_types=path_types or {},
                    request=() if request is None else (Body(request),),
                    secured=self._secured,
                )
            )
            self.routes.append(Route(self._prefix + path, _endpoint(handler, query, status), methods=[method.upper()]))
            return handler

        return register


def _endpoint(
    handler: Handler, known: Parameters | None, status: Callable[[Any], int]
) -> Callable[[Request], Awaitable[Response]]:
    def query(request: Request) -> Query:
        return {} if known is None else read_query(request, known)

    def respond(content: Any) -> Response:
        return content if isinstance(content, Response) else JsonResponse(content, status(content))

    async def endpoint(request: Request) -> Response:
        if inspect.iscoroutinefunction(handler):
            return respond(await handler(request, query(request)))
        # Queries and encoding run in a thread, because they would block the event loop.
        return await run_in_threadpool(lambda: respond(handler(request, query(request))))

    return endpoint
