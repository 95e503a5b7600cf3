"""The OpenAPI document has every parameter, every answer and every refusal, with schemas made from types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tillstream.http import openapi
from tillstream.http.openapi import Body, Operation, Response

Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]


class Stamp(Struct):
    """A stamp."""

    price: str


class Letter(Struct):
    """A letter."""

    sent: Day
    stamp: Stamp | None
    weight: int | None
    text: bytes
    reply: str | int | None = None


LETTER = Operation(
    method="get",
    path="/letters/{name}",
    id="letter",
    summary="Read a letter",
    description="One letter.",
    tag="letters",
    query={"day": Annotated[Day, Meta(description="a day")], "colour": str},
    path_types={"name": Literal["a", "b"]},
    responses={200: Response("OK", (Body(Letter),)), 404: Response("No such letter"), 503: Response("Later")},
    secured=True,
)
TABLE = Operation(
    method="post",
    path="/letters.csv",
    id="letters",
    summary="Read all letters",
    request=(Body(list[Letter]), Body(Annotated[str, Meta(description="a table")], "text/csv", "a,b")),
    responses={200: Response("OK", (Body(str, "text/csv"),))},
)


def made() -> dict[str, Any]:
    return openapi.document("letters", "Letters.", [LETTER, TABLE], {"bearer": {"type": "http", "scheme": "bearer"}})


def test_a_parameter_has_the_schema_of_its_type_and_a_description() -> None:
    name, day, colour = made()["paths"]["/letters/{name}"]["get"]["parameters"]
    assert (name["in"], name["required"], name["schema"]) == ("path", True, {"enum": ["a", "b"]})
    assert (day["in"], day["required"], day["description"]) == ("query", False, "a day")
    assert day["schema"] == {"type": "string", "format": "date"}
    assert colour["schema"] == {"type": "string"}


def test_types_become_components_as_openapi_3_0_writes_them() -> None:
    described = made()
    assert described["openapi"].startswith("3.0.")
    assert described["components"]["schemas"].keys() == {"Letter", "Stamp", "Errors", "Fault"}
    letter = described["components"]["schemas"]["Letter"]
    assert letter["required"] == ["sent", "stamp", "weight", "text"]
    assert letter["properties"] == {
        "sent": {"type": "string", "format": "date"},
        "stamp": {"allOf": [{"$ref": "#/components/schemas/Stamp"}], "nullable": True},
        "weight": {"type": "integer", "nullable": True},
        "text": {"type": "string", "format": "byte"},
        "reply": {"anyOf": [{"type": "string", "nullable": True}, {"type": "integer"}], "default": None},
    }


def test_every_refusal_has_the_same_body_and_some_say_when_to_come_again() -> None:
    responses = made()["paths"]["/letters/{name}"]["get"]["responses"]
    assert responses.keys() == {"200", "404", "503"}
    errors = {"application/json": {"schema": {"$ref": "#/components/schemas/Errors"}}}
    assert responses["404"] == {"description": "No such letter", "content": errors}
    assert "Retry-After" in responses["503"]["headers"]


def test_bodies_have_a_media_type_and_maybe_an_example() -> None:
    operation = made()["paths"]["/letters.csv"]["post"]
    assert operation["requestBody"]["content"] == {
        "application/json": {"schema": {"type": "array", "items": {"$ref": "#/components/schemas/Letter"}}},
        "text/csv": {"schema": {"type": "string", "description": "a table"}, "example": "a,b"},
    }
    assert operation["responses"]["200"]["content"] == {"text/csv": {"schema": {"type": "string"}}}


def test_a_secured_operation_needs_one_of_the_schemes_or_none_where_the_server_is_open() -> None:
    paths = made()["paths"]
    assert paths["/letters/{name}"]["get"]["security"] == [{"bearer": []}, {}]
    assert "security" not in paths["/letters.csv"]["post"]
