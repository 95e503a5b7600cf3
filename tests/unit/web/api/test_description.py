"""The description of the API names every parameter, every answer and every refusal."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from tillstream.web.api import schemas
from tillstream.web.api.description import answered, as_table, describe, described


def application() -> FastAPI:
    app = FastAPI(title="letters", version="1", description="Letters.")
    refused: dict[int | str, dict[str, Any]] = {404: {"description": "No such letter"}, 503: {"description": "Later"}}

    @app.get("/letters/{name}/{key}", responses={**answered(schemas.ODD_COUNTS), **refused})
    def letter(name: str, key: str) -> None:
        """One letter."""

    @app.get("/letters.csv", responses=as_table(), openapi_extra=described({"day": "a day"}))
    def letters() -> None:
        """All of them."""

    app.openapi = describe(app, {"name": ["a", "b"]})  # type: ignore[method-assign]
    return app


def test_a_parameter_has_its_shape_and_any_other_is_a_text() -> None:
    made = described({"day": "a day", "from": "when", "colour": "which"}, {"from": schemas.DAY})["parameters"]
    assert [each["schema"] for each in made] == [schemas.DAY, schemas.DAY, {"type": "string"}]
    assert [each["description"] for each in made] == ["a day", "when", "which"]
    assert not any(each["required"] for each in made)
    assert described({"from": "when"})["parameters"][0]["schema"] == schemas.LOCAL


def test_names_in_a_path_are_those_that_there_are() -> None:
    operation = application().openapi()["paths"]["/letters/{name}/{key}"]["get"]
    found = {each["name"]: each["schema"] for each in operation["parameters"]}
    assert found == {"name": {"type": "string", "enum": ["a", "b"]}, "key": schemas.KEY}


def test_every_refusal_has_its_shape_and_none_is_made_up() -> None:
    description = application().openapi()
    answers = description["paths"]["/letters/{name}/{key}"]["get"]["responses"]
    assert answers.keys() == {"200", "404", "503"}
    assert answers["404"]["content"]["application/json"]["schema"] == schemas.ERRORS
    assert answers["200"]["content"]["application/json"]["schema"] == schemas.ODD_COUNTS
    assert "Retry-After" in answers["503"]["headers"]
    assert "schemas" not in description.get("components", {})


def test_a_table_is_csv() -> None:
    answers = application().openapi()["paths"]["/letters.csv"]["get"]["responses"]
    assert answers["200"]["content"]["text/csv"] == {"schema": {"type": "string"}}


def test_it_is_made_once_and_for_swagger_ui_as_packaged() -> None:
    app = application()
    assert app.openapi() is app.openapi()
    assert app.openapi()["openapi"].startswith("3.0.")
    assert app.openapi()["info"] == {"title": "letters", "version": "1", "description": "Letters."}
