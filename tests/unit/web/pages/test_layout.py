"""The layout has every element that the scripts fill, and every word that it shows is known."""

from __future__ import annotations

import json
import re
from typing import Any

from tillstream.web.pages.i18n import words
from tillstream.web.pages.layout import TILES, layout
from tillstream.web.pages.live import ASSETS

LAID_OUT = json.loads(json.dumps(layout("curl x", demo=True), default=lambda component: component.to_plotly_json()))


def components(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, dict):
        return [part, *(each for value in part.values() for each in components(value))]
    return [each for item in part for each in components(item)] if isinstance(part, list) else []


def properties(name: str) -> list[str]:
    return [each[name] for each in components(LAID_OUT) if name in each]


def test_given_the_scripts_then_the_layout_has_each_element_that_they_use_with_its_tag() -> None:
    declared = re.findall(
        r'^  "?([a-z-]+)"?: "(\w+)",$', (ASSETS / "page" / "elements.js").read_text("utf-8"), re.MULTILINE
    )
    assert len(declared) == len(dict(declared)) > 30
    tags = {part["props"]["id"]: part["type"].lower() for part in components(LAID_OUT) if "id" in part.get("props", {})}
    assert dict(declared).items() <= tags.items()


def test_given_a_password_then_one_can_log_out_and_otherwise_not() -> None:
    def actions(*, leaves: bool) -> list[str]:
        laid_out = layout("curl x", demo=False, leaves=leaves)
        parts = components(json.loads(json.dumps(laid_out, default=lambda component: component.to_plotly_json())))
        return [f"{part['method']} {part['action']}" for part in parts if "action" in part]

    assert (actions(leaves=True), actions(leaves=False)) == (["POST /logout"], [])


def test_given_the_layout_then_no_id_stands_twice() -> None:
    ids = properties("id")
    assert len(ids) == len(set(ids))
    assert {f"tile-{name}" for name, _ in TILES} <= set(ids)


def test_given_the_layout_then_every_word_is_known() -> None:
    assert (
        set(properties("data-i18n") + properties("data-i18n-title") + properties("data-i18n-label"))
        <= words("en").keys()
    )
