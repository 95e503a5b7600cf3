"""The shapes of answers are those that the answers have: `tests/e2e/test_openapi.py` holds every one to them."""

from __future__ import annotations

from typing import Any

from tillstream.web.api import schemas


def test_a_record_asks_for_all_of_its_fields() -> None:
    assert schemas.record(day=schemas.DAY, lag=schemas.COUNT) == {
        "type": "object",
        "required": ["day", "lag"],
        "properties": {"day": schemas.DAY, "lag": schemas.COUNT},
    }


def test_what_may_be_null_keeps_its_shape() -> None:
    assert schemas.maybe(schemas.AMOUNT) == {**schemas.AMOUNT, "nullable": True}
    assert "nullable" not in schemas.AMOUNT


def test_a_page_has_a_cursor_behind_its_rows() -> None:
    made = schemas.page("rows", schemas.TEXT, currency=schemas.TEXT)
    assert made["required"] == ["currency", "rows", "next"]
    assert made["properties"]["rows"] == {"type": "array", "items": schemas.TEXT}


def test_every_shape_says_what_it_is() -> None:
    def check(shape: dict[str, Any]) -> None:
        assert shape["type"] in ("object", "array", "string", "integer", "number", "boolean")
        assert shape.keys() >= {"items"} if shape["type"] == "array" else "items" not in shape
        for part in (*shape.get("properties", {}).values(), *([shape["items"]] if "items" in shape else [])):
            check(part)

    named = {name: value for name, value in vars(schemas).items() if name.isupper() and isinstance(value, dict)}
    assert {"SUMMARY", "OVERVIEW", "QUARANTINE"} <= named.keys()
    for name, shape in named.items():
        if not name.startswith("_"):
            check(shape)
