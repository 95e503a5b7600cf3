"""HTML pages: the environment of Jinja2 templates, and the API documentation at `/docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from swagger_ui_bundle import swagger_ui_path

TEMPLATES = Path(__file__).parent / "templates"

SWAGGER_UI = Path(str(swagger_ui_path))
"""The folder of the installed Swagger UI. The documentation loads no files from other servers."""

DOCS_STYLE = "swagger-ui.css"
DOCS_SCRIPT = "swagger-ui-bundle.js"

DOCS_START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0,
});
"""
"""The script at `/docs/start.js`. It loads `/openapi.json`."""


def environment(*folders: Path, **values: Any) -> Environment:
    """Return an environment that escapes every value and contains `base.html`.

    `folders` contain further templates. `values` are available in all templates.
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


def docs_page(title: str, folder: str, icon: str = "data:,") -> str:
    """Return the page at `/docs`. `folder` is the URL path of the files of Swagger UI, `icon` the URL of the icon."""
    template = environment().get_template("docs.html")
    return template.render(title=title, style=f"{folder}/{DOCS_STYLE}", script=f"{folder}/{DOCS_SCRIPT}", icon=icon)
