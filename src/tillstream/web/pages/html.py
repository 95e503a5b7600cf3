"""What the plain HTML pages have in common: the page around them, cards, tables, forms, amounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.errors import BadQuery
from tillstream.web.api.routes import given
from tillstream.web.middleware.authenticator import COOKIE
from tillstream.web.pages.i18n import say, spoken

SECTIONS = {
    "": ("/", "today"),
    "shops": ("/shops", "shops_nav"),
    "receipts": ("/receipts", "receipts_nav"),
    "figures": ("/figures", "figures_nav"),
    "alerts": ("/alerts", "alerts_nav"),
    "quarantine": ("/quarantine", "quarantine_nav"),
    "docs": ("/docs", "api_nav"),
}
"""The places of the header: address and word."""

_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · tillstream</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
<link rel="stylesheet" href="/assets/lists.css">
</head>
<body>
<a class="skip" href="#content">{skip}</a>
<header><a href="/" class="brand">till<i>stream</i></a>{ribbon}<nav>{nav}</nav>{leave}</header>
<main id="content">
{body}
</main>
</body>
</html>
"""

_LEAVE = '<span class="grow"></span><form class="leave" action="/logout" method="post"><button class="pill">{}</button></form>'

Cell = tuple[str, str]
"""A cell's HTML, escaped already, and its class."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Says a page's words in the language of who asked; all that it returns is escaped."""

    language: str
    demo: bool
    leaves: bool = False
    """Whether the reader logged in, and so can log out."""

    @classmethod
    def of(cls, request: Request, *, demo: bool) -> Teller:
        return cls(spoken(request), demo, COOKIE in request.cookies)

    def __call__(self, key: str, **values: Any) -> str:
        return escape(say(self.language, key, **values))

    def page(self, title: str, section: str, body: str, status: int = 200) -> HTMLResponse:
        """A whole page: the header, with `section` marked in it, and the body."""
        nav = "".join(
            f'<a href="{path}"{" aria-current=page" if name == section else ""}>{self(word)}</a>'
            for name, (path, word) in SECTIONS.items()
        )
        ribbon = '<span class="demo">DEMO</span>' if self.demo else ""
        leave = _LEAVE.format(self("log_out")) if self.leaves else ""
        filled = _PAGE.format(
            title=escape(title),
            ribbon=ribbon,
            body=body,
            nav=nav,
            leave=leave,
            language=self.language,
            skip=self("skip"),
        )
        return HTMLResponse(filled, status)

    def missing(self, title: str, section: str, why: str) -> HTMLResponse:
        """The page of what there isn't; `why` is a word."""
        return self.page(title, section, card(title, f"<p>{self(why)}</p>"), 404)

    def problem(self, error: BadQuery) -> str:
        return card(self("invalid_query"), f"<p>{escape(str(error))}</p>")

    def money(self, amount: str | None, currency: str) -> str:
        """A decimal string as people read it: `€1,234.50`, `1 234,50 €`."""
        return "–" if amount is None else escape(self.plain_money(amount, currency))

    def plain_money(self, amount: str, currency: str) -> str:
        """The same to be put into words, which are escaped as a whole."""
        whole, _, rest = amount.removeprefix("-").partition(".")
        sign = "−" if amount.startswith("-") else ""
        symbol = _SYMBOLS.get(currency, currency)
        if self.language == "fr":
            number = f"{int(whole):,}".replace(",", "\u202f") + (f",{rest}" if rest else "")
            return f"{sign}{number}\u00a0{symbol}"
        number = f"{int(whole):,}" + (f".{rest}" if rest else "")
        return f"{sign}{symbol}{'' if currency in _SYMBOLS else ' '}{number}"

    def count(self, number: int) -> str:
        return f"{number:,}".replace(",", "\u202f" if self.language == "fr" else ",")

    def form(
        self,
        action: str,
        asked: Mapping[str, str],
        fields: Mapping[str, str | Mapping[str, str]],
        fixed: Mapping[str, str] | None = None,
    ) -> str:
        """Fields by name, each of a kind of input or with its choices (their texts escaped), with what was asked."""
        inputs = "".join(
            f"<label>{self(name) if name in _NAMED else escape(name)}{_field(name, kind, asked.get(name, ''))}</label>"
            for name, kind in fields.items()
        )
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="{value}">' for name, value in (fixed or {}).items()
        )
        return f'<form class="filters" action="{action}">{hidden}{inputs}<button>{self("show")}</button></form>'

    def more(self, action: str, asked: Mapping[str, str], cursor: str | None) -> str:
        if cursor is None:
            return ""
        query = escape(urlencode({**asked, "cursor": cursor}))
        return f'<p class="more"><a href="{action}?{query}">{self("older_entries")}</a></p>'


Page = Callable[[Request, Teller], HTMLResponse]


class Pages:
    """Routes whose answers are pages; what cannot be asked is told on a page too."""

    def __init__(self, *, demo: bool) -> None:
        self.router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
        self._demo = demo

    def add(self, path: str, section: str) -> Callable[[Page], Page]:
        """Serve the decorated function under the path."""

        def around(page: Page) -> Page:
            def answer(request: Request) -> HTMLResponse:
                tell = Teller.of(request, demo=self._demo)
                try:
                    return page(request, tell)
                except BadQuery as error:
                    return tell.page(tell("invalid_query"), section, tell.problem(error), 400)

            self.router.add_api_route(path, answer)
            return page

        return around


_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
_NAMED = frozenset({"day", "store", "till", "receipt", "arrived", "category", "kind", "source", "reason"})


def _field(name: str, kind: str | Mapping[str, str], value: str) -> str:
    if isinstance(kind, str):
        return f'<input name="{name}" type="{kind}" value="{escape(value)}">'
    options = "".join(
        f'<option value="{each}"{" selected" if each == value else ""}>{text}</option>' for each, text in kind.items()
    )
    return f'<select name="{name}">{options}</select>'


def facts(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values, both escaped already."""
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)


def card(title: str, body: str, span: str = "span12") -> str:
    return f'<section class="card {span}"><h2>{title}</h2>{body}</section>'


def table(titles: Iterable[str], rows: Iterable[list[Cell]], empty: str) -> str:
    lines = list(rows)
    if not lines:
        return f'<p class="note">{empty}</p>'
    numbers = {index for index, (_, kind) in enumerate(lines[0]) if "number" in kind}
    head = "".join(
        f'<th class="number">{title}</th>' if index in numbers else f"<th>{title}</th>"
        for index, title in enumerate(titles)
    )
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{cell}</td>' for cell, kind in line) + "</tr>" for line in lines
    )
    return f'<div class="scroll"><table class="list"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def filters_of(request: Request, known: Mapping[str, str]) -> dict[str, str]:
    """What a form asked, without the fields that were left empty. Raises `BadQuery`."""
    return {name: text for name, text in given(request, {**known, "lang": ""}).items() if text and name != "lang"}
