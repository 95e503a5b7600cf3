"""A typed route refuses what it does not know, answers in JSON, and describes itself."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request

from tillstream.errors import BadQuery
from tillstream.web.api.routing import Api, Query, Refused, read_query


class Letter(Struct):
    """A letter."""

    name: str
    day: str


API = Api("/post", tag="letters")


@API.get("/{name}", query={"day": str}, path_types={"name": str}, refusals={404: "No such letter"})
def letter(request: Request, query: Query) -> Letter:
    """Read a letter.

    It may be old.
    """
    name = request.path_params["name"]
    if name == "none":
        raise Refused(404, "name", "there is no letter none", "ask for another one")
    return Letter(name, query.get("day", ""))


@API.add("post", "/{name}", path_types={"name": str}, status=lambda answer: 409 if answer.name == "old" else 200)
async def send(request: Request, _query: Query) -> Letter:
    """Send a letter."""
    return Letter(request.path_params["name"], (await request.body()).decode())


def ask(method: str, path: str, content: bytes | None = None) -> httpx.Response:
    handlers: dict[Any, Any] = {Refused: lambda _, error: error.response}
    transport = httpx.ASGITransport(app=Starlette(routes=API.routes, exception_handlers=handlers))

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://post") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(asked())


def test_a_handler_answers_with_its_struct_as_json() -> None:
    assert ask("GET", "/post/a?day=x").json() == {"name": "a", "day": "x"}
    assert ask("POST", "/post/b", b"y").json() == {"name": "b", "day": "y"}
    assert ask("POST", "/post/old").status_code == 409


def test_a_refusal_has_the_form_of_all_refusals() -> None:
    answer = ask("GET", "/post/none")
    error = {"path": "name", "error": "there is no letter none", "hint": "ask for another one"}
    assert (answer.status_code, answer.json()) == (404, {"errors": [error]})


@pytest.mark.parametrize(("query", "named"), [("x=1", "x"), ("day=1&day=2", "day")])
def test_a_parameter_that_is_unknown_or_given_twice_is_refused(query: str, named: str) -> None:
    request = Request({"type": "http", "query_string": query.encode(), "headers": []})
    with pytest.raises(BadQuery) as caught:
        read_query(request, {"day": str})
    assert caught.value.path == named


def test_a_route_describes_itself() -> None:
    get, post = API.operations
    assert (get.method, get.path, get.id, get.tag) == ("get", "/post/{name}", "letter", "letters")
    assert (get.summary, get.description) == ("Letter", "Read a letter.\n\nIt may be old.")
    assert get.responses.keys() == {200, 400, 401, 404, 503}
    assert get.responses[200].bodies[0].type is Letter
    assert get.secured
    assert post.method == "post"
