"""Renders the reference pages: each is a template in `templates/`, filled from the declarations in the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tillstream.alerts import rules
from tillstream.config import settings
from tillstream.formats import envelope, registry
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.ingest.decoding import ENCODINGS
from tillstream.ingest.openapi import RESPONSES
from tillstream.metrics import catalogue


def render(page: str) -> str:
    """Return the Markdown of one of `PAGES`."""
    return _templates.get_template(page).render(PAGES[page]())


def _alerts() -> dict[str, Any]:
    return {"alerts": rules}


def _metrics() -> dict[str, Any]:
    def keys(source: str) -> list[str]:
        return [key.name for key in catalogue.KEYS.values() if source in key.sources]

    return {"metrics": catalogue, "keys": keys}


def _settings() -> dict[str, Any]:
    return {
        "names": settings.Settings.__struct_fields__,
        "describe": settings.describe,
        "default": lambda name: settings.text(settings.default(name)),
        "flag": settings.flag,
        "variable": settings.variable,
        "toml_only": settings.TOML_ONLY,
    }


def _formats() -> dict[str, Any]:
    """Include the formats of other installed packages."""
    return {
        "formats": list(registry.load(settings.Settings())),
        "media_types": _media_types,
        "language": _language,
        "answers": RESPONSES,
        "encodings": [f"`{name}`" for name in ENCODINGS if not name.startswith("x-")],
        "head_bytes": HEAD_BYTES,
        "envelope": envelope.MEDIA_TYPE,
    }


PAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "alerts.md": _alerts,
    "formats.md": _formats,
    "metrics.md": _metrics,
    "settings.md": _settings,
}
"""The values for each page's template, by the name of the page."""


def _media_types(decoder: Decoder) -> list[str]:
    return [f"application/*{each}" if each.startswith("+") else each for each in decoder.media_types]


def _language(decoder: Decoder) -> str:
    """Return the language of the example, for syntax highlighting."""
    return next((name for name in ("json", "xml", "csv") if name in decoder.media_types[0]), "text")


def _code(items: Iterable[str]) -> str:
    """Quote each item as code and join them with commas."""
    return ", ".join(f"`{item}`" for item in items)


def _cell(text: str) -> str:
    """Escape the character that separates table cells."""
    return text.replace("|", r"\|")


def _anchor(title: str) -> str:
    """Return the fragment by which GitHub links to a heading."""
    return "".join(each for each in title.lower().replace(" ", "-") if each.isalnum() or each in "-_")


_templates = Environment(
    loader=PackageLoader("tools.docs"),
    undefined=StrictUndefined,
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters |= {"code": _code, "cell": _cell, "anchor": _anchor}
