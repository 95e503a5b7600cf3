"""The reference pages in docs/. Each page is a template in `templates/` that shows declarations of the code."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import Environment, PackageLoader, StrictUndefined

from tillstream.alerts import rules
from tillstream.config import settings
from tillstream.formats import envelope, registry
from tillstream.formats.base import HEAD_BYTES, Decoder
from tillstream.ingest.content_encoding import ENCODINGS
from tillstream.ingest.openapi import RESPONSES
from tillstream.metrics import catalogue

PAGES = ("alerts.md", "formats.md", "metrics.md", "settings.md")


def render(page: str) -> str:
    """Return the Markdown of one of `PAGES`. Formats of other installed packages are included."""
    return _templates.get_template(page).render(
        alerts=rules,
        answers=RESPONSES,
        encodings=[f"`{name}`" for name in ENCODINGS if not name.startswith("x-")],
        envelope=envelope.MEDIA_TYPE,
        formats=list(registry.load(settings.Settings())),
        head_bytes=HEAD_BYTES,
        metrics=catalogue,
        settings=settings,
    )


def _keys(source: str) -> list[str]:
    """Return the keys of the metrics of a source."""
    return [key.name for key in catalogue.KEYS.values() if source in key.sources]


def _media_types(decoder: Decoder) -> list[str]:
    return [f"application/*{name}" if name.startswith("+") else name for name in decoder.media_types]


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
    return "".join(char for char in title.lower().replace(" ", "-") if char.isalnum() or char in "-_")


_templates = Environment(
    loader=PackageLoader("tools.docs"),
    undefined=StrictUndefined,
    autoescape=False,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_templates.filters |= {
    "anchor": _anchor,
    "cell": _cell,
    "code": _code,
    "keys": _keys,
    "language": _language,
    "media_types": _media_types,
}
