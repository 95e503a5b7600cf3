"""Rendering of the page templates in the language of the reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tillstream.access.sessions import COOKIE
from tillstream.errors import BadQuery
from tillstream.http import html
from tillstream.web.api.routing import Parameters, read_query
from tillstream.web.i18n import Localizer, language_of, localizer

TEMPLATES = Path(__file__).parent / "templates"

EVIDENCE_AMOUNTS = frozenset({"lines", "total", "net", "tax", "paid"})
"""The names under which the evidence of an anomaly contains amounts of money."""

SECTIONS = {
    "today": ("/", "today"),
    "shops": ("/shops", "shops_nav"),
    "receipts": ("/receipts", "receipts_nav"),
    "figures": ("/figures", "figures_nav"),
    "alerts": ("/alerts", "alerts_nav"),
    "quarantine": ("/quarantine", "quarantine_nav"),
    "docs": ("/docs", "api_nav"),
}
"""The path and the message key of each section in the page header."""

NAMED_FIELDS = frozenset({"day", "store", "till", "receipt", "arrived", "category", "kind", "source", "reason"})
"""The form fields whose labels are translated. The label of any other field is its name."""


@dataclass(frozen=True, slots=True)
class Page:
    """A request for a page. The page header marks `section` as the current section.

    If `demo` is true, the page says that its data is invented.
    """

    request: Request
    section: str
    demo: bool

    @property
    def localizer(self) -> Localizer:
        return localizer(language_of(self.request))

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = (
            environment(self.localizer.language)
            .get_template(template)
            .render(section=self.section, demo=self.demo, can_log_out=COOKIE in self.request.cookies, **values)
        )
        return HTMLResponse(text, status)

    def message(self, title: str, text: str, status: int) -> HTMLResponse:
        """Render a page that shows only `text`. `title` is the message key of the page title."""
        return self.render("message.html", status, title=self.localizer.text(title), message=text)

    def missing(self, title: str, why: str) -> HTMLResponse:
        """Render the page for something that does not exist. `title` and `why` are message keys."""
        return self.message(title, self.localizer.text(why), 404)

    def filters(self, known: Parameters) -> dict[str, str]:
        """Return the query parameters except the language and empty values.

        Raises `BadQuery` if a parameter is unknown or repeated.
        """
        found = read_query(self.request, {**known, "lang": str})
        return {name: text for name, text in found.items() if text and name != "lang"}


Handler = Callable[[Page], HTMLResponse]


class Pages:
    """The routes of pages. The response to an invalid query is also a page."""

    def __init__(self, *, demo: bool) -> None:
        self.routes: list[Route] = []
        self._demo = demo

    def add(self, path: str, section: str) -> Callable[[Handler], Handler]:
        """Return a decorator that registers a function for the path."""

        def register(handler: Handler) -> Handler:
            @wraps(handler)
            def endpoint(request: Request) -> HTMLResponse:
                page = Page(request, section, self._demo)
                try:
                    return handler(page)
                except BadQuery as error:
                    return page.message("invalid_query", str(error), 400)

            self.routes.append(Route(path, endpoint))
            return handler

        return register


@cache
def environment(language: str) -> Environment:
    """Return the Jinja environment for all templates in one language."""
    local = localizer(language)
    return html.environment(
        TEMPLATES,
        language=language,
        sections=SECTIONS,
        named_fields=NAMED_FIELDS,
        t=local.text,
        money=local.money,
        price=local.price,
        count=local.count,
        day_name=local.day,
        alert_values=lambda alert: {"title": alert.title, **_formatted(local, alert.values)},
        evidence_values=lambda each, currency: _formatted(local, each.values, currency),
        address=address,
        segment=lambda text: quote(text, safe=""),
    )


def address(path: str, query: Mapping[str, str]) -> str:
    """Return the path with the query parameters, if there are any."""
    return f"{path}?{urlencode(query)}" if query else path


def _formatted(local: Localizer, values: Mapping[str, Any], currency: str = "") -> dict[str, str]:
    """Format the values of a message.

    If `currency` is given, the values that `EVIDENCE_AMOUNTS` names are formatted as amounts of money.
    """

    def formatted(name: str, value: Any) -> str:
        if currency and name in EVIDENCE_AMOUNTS:
            return local.money(value, currency)
        return local.count(value) if isinstance(value, int) else str(value)

    return {name: formatted(name, value) for name, value in values.items()}
