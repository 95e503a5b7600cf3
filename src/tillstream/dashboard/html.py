"""What the plain HTML pages have in common: the page around them, cards, tables, forms, amounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import urlencode

from fastapi.responses import HTMLResponse

from tillstream.errors import BadQuery

SECTIONS = ("receipts", "figures", "quarantine")

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · tillstream</title>
<link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>
<header><a href="/" class="brand">till<i>stream</i></a>{ribbon}<nav><a href="/">Today</a>\
<a href="/receipts"{on_receipts}>Receipts</a><a href="/figures"{on_figures}>Figures</a><a href="/quarantine"{on_quarantine}>Set aside</a>\
<a href="/docs">API</a></nav></header>
<main>
{body}
</main>
</body>
</html>
"""

Cell = tuple[str, str]
"""A cell's HTML, escaped already, and its class."""


def shell(title: str, section: str, body: str, *, demo: bool, status: int = 200) -> HTMLResponse:
    """A whole page: the header, with `section` marked in it, and the body."""
    marks = {f"on_{name}": ' class="on"' if name == section else "" for name in SECTIONS}
    ribbon = '<span class="demo">DEMO</span>' if demo else ""
    return HTMLResponse(_PAGE.format(title=escape(title), ribbon=ribbon, body=body, **marks), status)


def money(amount: str | None, currency: str) -> str:
    """A decimal string as people read it, escaped: `€1,234.50`."""
    if amount is None:
        return "–"
    whole, point, rest = amount.removeprefix("-").partition(".")
    sign = "−" if amount.startswith("-") else ""
    symbol = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}.get(currency, f"{currency} ")
    return escape(f"{sign}{symbol}{int(whole):,}{point}{rest}")


def facts(facts: Mapping[str, str]) -> str:
    return "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


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


def form(action: str, asked: Mapping[str, str], fields: Mapping[str, str]) -> str:
    inputs = "".join(
        f'<label>{name.capitalize()}<input name="{name}" type="{kind}" value="{escape(asked.get(name, ""))}"></label>'
        for name, kind in fields.items()
    )
    return f'<form class="filters" action="{action}">{inputs}<button>Show</button></form>'


def more(action: str, asked: Mapping[str, str], cursor: str | None) -> str:
    if cursor is None:
        return ""
    query = escape(urlencode({**asked, "cursor": cursor}))
    return f'<p class="more"><a href="{action}?{query}">Older ones</a></p>'


def problem(error: BadQuery) -> str:
    return card("That cannot be shown", f"<p>{escape(str(error))}</p>")


def filled(asked: Mapping[str, str]) -> dict[str, str]:
    """Without the fields of a form that were left empty."""
    return {name: value for name, value in asked.items() if value}


def words(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
