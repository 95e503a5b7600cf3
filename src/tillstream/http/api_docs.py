"""The page at `/docs`: Swagger UI, served from the installed package so that it works offline."""

from __future__ import annotations

from pathlib import Path

from swagger_ui_bundle import swagger_ui_path

from tillstream.http import templates

SWAGGER_UI = Path(str(swagger_ui_path))
STYLE = "swagger-ui.css"
SCRIPT = "swagger-ui-bundle.js"
START = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null, defaultModelsExpandDepth: 0,
});
"""


def page(title: str, folder: str, icon: str = "data:,") -> str:
    """The page. `folder` is the address of Swagger UI's files; `START` is served at `/docs/start.js`."""
    template = templates.environment().get_template("docs.html")
    return template.render(title=title, style=f"{folder}/{STYLE}", script=f"{folder}/{SCRIPT}", icon=icon)
