"""HTML pages: the environment of Jinja2 templates, and the API documentation at `/docs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from swagger_ui_bundle import swagger_ui_path

TEMPLATES = Path(__file__).parent / "templates"

SWAGGER_UI = Path(str(swagger_ui_path))
"""The folder with the files of Swagger UI, which displays `/docs`. The server of `/docs` also serves these files."""

DOCS_STYLE = "swagger-ui.css"
DOCS_SCRIPT = "swagger-ui-bundle.js"

_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0,
});
"""


class Document(NamedTuple):
    """A document at a fixed path. `headers` contains complete header lines, each with its line break."""

    content_type: str
    body: Callable[[], bytes]
    headers: bytes = b""


def environment(*folders: Path, **values: Any) -> Environment:
    """Return a Jinja2 environment that escapes every value.

    It finds the template `base.html` and those in `folders`. `values` are available in all templates.
    """
    created = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    created.globals |= {"language": "en", **values}
    return created


def documentation(
    title: str, describe: Callable[[], Mapping[str, Any]], folder: str, icon: str = "data:,"
) -> dict[str, Document]:
    """Return the OpenAPI document, the page `/docs`, and the script that starts Swagger UI, by URL path.

    `describe` returns the OpenAPI document. `folder` is the URL path under which the files of Swagger UI are served.
    `icon` is the URL of the page's icon.
    """

    def page() -> bytes:
        style, script = f"{folder}/{DOCS_STYLE}", f"{folder}/{DOCS_SCRIPT}"
        template = environment().get_template("docs.html")
        return template.render(title=title, style=style, script=script, icon=icon).encode()

    return {
        "/openapi.json": Document("application/json", cache(lambda: msgspec.json.encode(describe()))),
        "/docs": Document("text/html; charset=utf-8", cache(page)),
        "/docs/start.js": Document("text/javascript", lambda: _START),
    }
