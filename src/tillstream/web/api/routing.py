"""Typed JSON routes: each becomes a route of the server and an operation of the OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillstream.errors import BadQuery
from tillstream.http import openapi
from tillstream.http.openapi import Body, Errors, Operation
from tillstream.receipt.model import Fault

Query = Mapping[str, str]
Handler = Callable[[Request, Query], Any]


class JsonResponse(Response):
    """A struct as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def refusal(status: int, path: str, error: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """A response that says what is wrong, where, and what would be right."""
    return JsonResponse(Errors([Fault(path, error, hint)]), status, headers)


class Refused(Exception):
    """Ends the handling of a request with a refusal."""

    def __init__(self, status: int, path: str, error: str, hint: str = "") -> None:
        self.response = refusal(status, path, error, hint)
        super().__init__(error)


def parameters(request: Request, known: Collection[str]) -> dict[str, str]:
    """The parameters of the query. Raises `BadQuery` for one that is not known or comes twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise BadQuery(name, "there is no such parameter", takes)
        if name in found:
            raise BadQuery(name, "is given twice", "give it once")
        found[name] = value
    return found


class Api:
    """Routes with their operations. The type that a handler returns is the type of its response."""

    REFUSALS: Mapping[int, str] = {
        400: "A parameter or the body is wrong",
        401: "It needs the password or a key for reading",
        503: "The figures cannot be read now; try again after `Retry-After`",
    }

    def __init__(self, prefix: str = "/api/v1", *, tag: str = "", secured: bool = True) -> None:
        self.routes: list[Route] = []
        self.operations: list[Operation] = []
        self._prefix = prefix
        self._tag = tag
        self._secured = secured

    def get(self, path: str, **options: Any) -> Callable[[Handler], Handler]:
        """As `add`, for GET."""
        return self.add("get", path, **options)

    def add(
        self,
        method: str,
        path: str,
        *,
        tag: str = "",
        query: Mapping[str, Any] | None = None,
        path_types: Mapping[str, Any] | None = None,
        request: Any = None,
        media_type: str = openapi.JSON,
        written_type: Any = str,
        example: Any = None,
        refusals: Mapping[int, str] | None = None,
        responses: Mapping[int, openapi.Response] | None = None,
        status: Callable[[Any], int] = lambda _: 200,
    ) -> Callable[[Handler], Handler]:
        """Serve the decorated handler, whose name and docstring describe the operation.

        A route with a `query` refuses all other parameters. `refusals` are statuses with `Errors`, `responses`
        those with another body. `status` tells the status of an answer. A handler that writes its
        response itself has a `written_type`.
        """

        def register(handler: Handler) -> Handler:
            answer = inspect.get_annotations(handler, eval_str=True)["return"]
            if answer is Response:
                answer = written_type
            described = {**(self.REFUSALS if self._secured else {}), **(refusals or {})}
            self.operations.append(
                Operation(
                    method=method,
                    path=self._prefix + path,
                    id=handler.__name__,
                    summary=handler.__name__.replace("_", " ").capitalize(),
                    description=inspect.getdoc(handler) or "",
                    responses={
                        200: openapi.Response("OK", (Body(answer, media_type, example=example),)),
                        **{status: openapi.Response(text) for status, text in described.items()},
                        **(responses or {}),
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
    handler: Handler, known: Mapping[str, Any] | None, status: Callable[[Any], int]
) -> Callable[[Request], Awaitable[Response]]:
    def query(request: Request) -> Query:
        return {} if known is None else parameters(request, known)

    def respond(answer: Any) -> Response:
        return answer if isinstance(answer, Response) else JsonResponse(answer, status(answer))

    async def wait(request: Request) -> Response:
        return respond(await handler(request, query(request)))

    async def run(request: Request) -> Response:
        # Reading and encoding run in a thread, so that a slow answer delays no other.
        return await run_in_threadpool(lambda: respond(handler(request, query(request))))

    return wait if inspect.iscoroutinefunction(handler) else run
