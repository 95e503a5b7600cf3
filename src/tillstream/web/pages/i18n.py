"""What pages say, in each language: `static/locales` has a file for each, with the same keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request

WORDS = Path(__file__).parents[1] / "static" / "locales"

LANGUAGES = ("en", "fr")
"""The first is the one for who speaks none of them."""

_PLACE = re.compile(r"\{(\w+)\}")


@cache
def words(language: str) -> Mapping[str, Any]:
    """The texts by their keys; one that depends on a number is a mapping of its forms."""
    loaded: dict[str, Any] = json.loads((WORDS / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


def english(key: str) -> str:
    return str(words("en")[key])


def spoken(request: Request) -> str:
    """The language of a request: what it asks for, what the page has kept, what the browser prefers."""
    preferred = [
        part.split(";")[0].strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")
    ]
    wanted = [request.query_params.get("lang"), request.cookies.get("lang"), *preferred]
    return next((each for each in wanted if each in LANGUAGES), LANGUAGES[0])


def say(language: str, key: str, **values: object) -> str:
    """The text with its places filled; of one with forms the form for `count`, which is `one` below 2 in French."""
    text = words(language)[key]
    if isinstance(text, dict):
        count = values.get("count", 0)
        one = abs(count) < 2 if language == "fr" else count == 1  # type: ignore[arg-type]
        text = text["one" if one else "other"]
    return _PLACE.sub(lambda place: str(values.get(place[1], place[0])), text)
