"""The quarantine as plain HTML: what was set aside, why, and as it came."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tillstream.dashboard.api import QUARANTINE_FILTERS, given
from tillstream.dashboard.html import Cell, Pages, Teller, card, facts, filled, table
from tillstream.dashboard.paper import original, utc
from tillstream.views.views import Views


def routes(views: Views, *, demo: bool) -> APIRouter:
    """`/quarantine` and `/quarantine/{entry}`."""
    pages = Pages(demo=demo)

    @pages.add("/quarantine", "quarantine")
    def quarantine(request: Request, tell: Teller) -> HTMLResponse:
        asked = filled(given(request, QUARANTINE_FILTERS | {"lang": ""}))
        asked.pop("lang", None)
        found = views.quarantine(asked)
        titles = [tell(name) for name in ("received", "what", "why", "source")]
        listed = table(titles, (_entry_row(tell, each) for each in found["entries"]), tell("nothing_set_aside"))
        note = f'<p class="note">{tell("set_aside_note")}</p>'
        body = card(tell("page_set_aside"), note + listed + tell.more("/quarantine", asked, found["next"]))
        return tell.page(tell("page_set_aside"), "quarantine", body)

    @pages.add("/quarantine/{entry}", "quarantine")
    def quarantined(request: Request, tell: Teller) -> HTMLResponse:
        found = views.quarantined(request.path_params["entry"])
        title = tell("page_set_aside")
        if found is None:
            return tell.page(title, "quarantine", card(title, f"<p>{tell('no_such_entry')}</p>"), 404)
        return tell.page(title, "quarantine", _entry_page(tell, found))

    return pages.router


def _entry_row(tell: Teller, entry: Mapping[str, Any]) -> list[Cell]:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    return [
        (f'<a href="/quarantine/{entry["id"]}">{utc(entry["received_at"])}</a>', "time"),
        (tell(f"kind_{entry['kind']}"), "flag"),
        (reasons, ""),
        (escape(entry["source"] or ""), ""),
    ]


def _entry_page(tell: Teller, entry: Mapping[str, Any]) -> str:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    known = {
        tell("what"): tell(f"kind_{entry['kind']}"),
        tell("received"): utc(entry["received_at"]),
        tell("source"): escape(entry["source"] or "–"),
        tell("bytes"): tell.count(entry["size_bytes"]),
    }
    left = card(tell("page_set_aside"), f"<dl>{facts(known)}</dl>", "") + card(tell("why"), f"<p>{reasons}</p>", "")
    return f'<div class="beside">{left}</div><div class="beside wide">{original(tell, entry["original"])}</div>'


def _reason(reason: Mapping[str, Any]) -> str:
    hint = f' <span class="note">{escape(str(reason["hint"]))}</span>' if reason.get("hint") else ""
    return f"<b>{escape(str(reason.get('path', '')))}</b> {escape(str(reason.get('error', '')))}{hint}"
