"""The quarantine as pages: what was set aside, why, as it came, and the buttons that replay and discard it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, OperationalError
from tillstream.quarantine.service import ENTRIES_LIMIT, Edit, LocalQuarantineService, Outcome
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import split_group
from tillstream.web.api.quarantine import QUARANTINE_FILTERS, limited
from tillstream.web.pages.anomalies import tabs
from tillstream.web.pages.html import Cell, Pages, Teller, card, facts, filters_of, table
from tillstream.web.pages.receipt import original, utc

KINDS = ("refused", "unreadable", "conflict")
COUNTS_SHOWN = 6

_FORM_LIMIT_BYTES = 64 * 1024


def routes(
    queries: Queries, quarantine_service: LocalQuarantineService, settings: Settings, *, demo: bool
) -> APIRouter:
    """`/quarantine`, `/quarantine/{entry}`, and what the buttons of both post to."""
    pages = Pages(demo=demo)

    @pages.add("/quarantine", "quarantine")
    def quarantine(request: Request, tell: Teller) -> HTMLResponse:
        return tell.page(
            tell("page_quarantine"), "quarantine", _list(tell, queries, filters_of(request, QUARANTINE_FILTERS))
        )

    @pages.add("/quarantine/{entry}", "quarantine")
    def quarantined(request: Request, tell: Teller) -> HTMLResponse:
        found = queries.quarantined(request.path_params["entry"])
        title = tell("page_quarantine")
        if found is None:
            return tell.missing(title, "quarantine", "entry_not_found")
        return tell.page(title, "quarantine", _entry_page(tell, found, quarantine_service.media_types))

    _add_settling(pages.router, quarantine_service, settings, demo=demo)
    return pages.router


def _add_settling(
    router: APIRouter, quarantine_service: LocalQuarantineService, settings: Settings, *, demo: bool
) -> None:
    @router.post("/quarantine/replay")
    async def replay(request: Request) -> HTMLResponse:
        entries, media_type = _chosen(await limited(request, _FORM_LIMIT_BYTES, settings))
        tell = Teller.of(request, demo=demo)
        return await run_in_threadpool(
            _settled, tell, entries, lambda: _replayed(quarantine_service, entries, media_type)
        )

    @router.post("/quarantine/discard")
    async def discard(request: Request) -> HTMLResponse:
        entries, _ = _chosen(await limited(request, _FORM_LIMIT_BYTES, settings))
        tell = Teller.of(request, demo=demo)
        return await run_in_threadpool(_settled, tell, entries, lambda: quarantine_service.discard(entries))


def _chosen(request: tuple[str, bytes]) -> tuple[list[str], str]:
    """The entries that a form names, and as what they are replayed."""
    fields = parse_qs(request[1].decode("ascii", "replace"))
    return fields.get("entry", [])[:ENTRIES_LIMIT], fields.get("type", [""])[0]


def _replayed(quarantine_service: LocalQuarantineService, entries: Iterable[str], media_type: str) -> Iterable[Outcome]:
    for entry in entries:
        yield quarantine_service.replay(entry, Edit(type=media_type))


def _settled(tell: Teller, entries: list[str], settle: Any) -> HTMLResponse:
    """The page that says what became of each; where ingest is down, of those before."""
    title = tell("page_quarantine")
    rows, problem = [], ""
    try:
        rows += [_outcome_row(tell, each) for each in (settle() if entries else ())]
    except (BadQuery, OperationalError) as error:
        problem = f'<p class="bad" role="alert">{escape(str(error))}</p>'
    listed = table(
        [tell(name) for name in ("entry", "result_column", "reason_column")],
        rows,
        "" if problem else tell("none_selected"),
    )
    back = f'<p class="more"><a href="/quarantine">{tell("back_to_list")}</a></p>'
    return tell.page(title, "quarantine", card(title, problem + listed + back), 503 if problem else 200)


def _outcome_row(tell: Teller, outcome: Outcome) -> list[Cell]:
    why = "<br>".join(_reason(each) for each in outcome.errors)
    if outcome.key:
        why = f'<a href="/receipts/{escape(outcome.key)}">{tell("page_receipt")}</a>'
    return [
        (f'<a href="/quarantine/{escape(outcome.id)}">{escape(outcome.id)}</a>', ""),
        (tell(f"outcome_{outcome.became}"), "flag" if outcome.stays else "good"),
        (why, "text"),
    ]


def _list(tell: Teller, queries: Queries, asked: Mapping[str, str]) -> str:
    found, settled = queries.quarantine(asked), asked.get("settled") == "1"
    kinds = {"": tell("any"), **{kind: tell(f"kind_{kind}") for kind in KINDS}}
    fields: dict[str, str | dict[str, str]] = {"day": "date", "kind": kinds, "source": "text", "reason": "text"}
    asking = tell.form("/quarantine", asked, fields, {"settled": "1"} if settled else {})
    titles = ["", *(tell(name) for name in ("received", "kind_column", "reason_column", "source"))]
    rows = (_entry_row(tell, each) for each in found["entries"])
    listed = table(titles, rows, tell("quarantine_empty"))
    if found["entries"] and not settled:
        listed = f'<form method="post" action="/quarantine/replay">{listed}{_buttons(tell, "_selected")}</form>'
    note = f'<p class="note">{tell("quarantine_note")}</p>'
    counts = _counts(tell, queries.quarantine_counts(asked.get("day")))
    more = tell.more("/quarantine", asked, found["next"])
    return card(tabs(tell, "settled" if settled else "waiting"), note + counts + asking + listed + more)


def _counts(tell: Teller, counts: Mapping[str, Any]) -> str:
    """Which reason and which source sends most of it."""
    if not counts["entries"]:
        return ""
    day = counts["day"]

    def listed(name: str, text: Any) -> str:
        shown = counts[f"by_{name}"][:COUNTS_SHOWN]
        items = "".join(
            f'<li><a href="/quarantine?{escape(urlencode({"day": day, name: each[name]}))}">'
            f"<b>{tell.count(each['entries'])}</b> {text(each[name])}</a></li>"
            for each in shown
        )
        return f'<div><h3>{tell(f"by_{name}")}</h3><ul class="counts">{items}</ul></div>'

    became = ", ".join(
        f"{tell.count(counts[name])} {tell(f'outcome_{name}')}" for name in ("replayed", "discarded") if counts[name]
    )
    title = f"{tell('on_day', day=day)}: {tell.count(counts['entries'])}{f' ({became})' if became else ''}"
    reasons = listed("reason", lambda each: _group(tell, each))
    return f'<h3>{title}</h3><div class="halves">{reasons}{listed("source", escape)}</div>'


def _group(tell: Teller, reason: str) -> str:
    path, kind = split_group(reason)
    return f"<code>{escape(path)}</code> {tell(f'reason_{kind}')}"


def _buttons(tell: Teller, of: str = "", *, replays: bool = True) -> str:
    """Replay, and discard behind a second look."""
    replay = f'<button class="primary">{tell(f"replay{of}")}</button>' if replays else ""
    return (
        f'<div class="settle">{replay}<details><summary>{tell(f"discard{of}")}</summary><p>{tell("discard_note")} '
        f'<button formaction="/quarantine/discard">{tell("discard_confirm")}</button></p></details></div>'
    )


def _entry_row(tell: Teller, entry: Mapping[str, Any]) -> list[Cell]:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    received = utc(entry["received_at"])
    settled = entry["settled"]
    box = f'<input type="checkbox" name="entry" value="{entry["id"]}" aria-label="{tell("select_entry")} {received}">'
    return [
        (tell(f"outcome_{settled['decision']}") if settled else box, "good" if settled else ""),
        (f'<a href="/quarantine/{entry["id"]}">{received}</a>', "time"),
        (tell(f"kind_{entry['kind']}"), "flag"),
        (reasons, "text"),
        (escape(entry["source"] or ""), ""),
    ]


def _entry_page(tell: Teller, entry: Mapping[str, Any], types: Iterable[str]) -> str:
    reasons = "<br>".join(_reason(each) for each in entry["reasons"]) or "–"
    known = {
        tell("entry"): escape(entry["id"]),
        tell("kind_column"): tell(f"kind_{entry['kind']}"),
        tell("received"): utc(entry["received_at"]),
        tell("source"): escape(entry["source"] or "–"),
        tell("bytes"): tell.count(entry["size_bytes"]),
    }
    left = card(tell("page_quarantine"), f"<dl>{facts(known.items())}</dl>", "") + card(
        tell("reason_column"), f"<p>{reasons}</p>", ""
    )
    left += card(tell("resolve"), _settling(tell, entry, types), "")
    right = original(tell, entry["original"])
    conflict = _conflict(tell, entry["conflict"]) if "conflict" in entry else ""
    return f'<div class="beside">{left}</div><div class="beside wide">{conflict}{right}</div>'


def _settling(tell: Teller, entry: Mapping[str, Any], types: Iterable[str]) -> str:
    settled = entry["settled"]
    if settled:
        link = f' <a href="/receipts/{escape(settled["key"])}">{tell("page_receipt")}</a>' if settled["key"] else ""
        return f"<p>{tell('outcome_' + settled['decision'])}, {utc(settled['at'])}.{link}</p>"
    conflict = entry["kind"] == "conflict"
    options = "".join(f"<option>{escape(each)}</option>" for each in types)
    chooser = (
        f'<p class="note">{tell("conflict_help")}</p>'
        if conflict
        else f'<label>{tell("replay_as")} <select name="type"><option value="">{tell("as_it_came")}</option>{options}'
        "</select></label>"
    )
    return (
        f'<form method="post" action="/quarantine/replay"><input type="hidden" name="entry" value="{entry["id"]}">'
        f"{chooser}{_buttons(tell, replays=not conflict)}</form>"
    )


def _conflict(tell: Teller, conflict: Mapping[str, Any]) -> str:
    """Both versions side by side, field by field."""
    rows = [_field_row(tell, each) for each in conflict["fields"]]
    titles = [tell("field"), tell("counted_value"), tell("later_value"), ""]
    link = f'<a href="/receipts/{escape(conflict["first"]["key"])}">{tell("counted_receipt")}</a>'
    title = f'{tell("both_versions")} <span class="quiet">{utc(conflict["first"]["received_at"])}</span>'
    return card(title, table(titles, rows, "–") + f'<p class="more">{link}</p>', "")


def _field_row(tell: Teller, field: Mapping[str, Any]) -> list[Cell]:
    mark = "differs" if field["differs"] else ""
    texts = ["–" if field[side] is None else escape(field[side]) for side in ("first", "second")]
    return [
        (f"<code>{escape(field['path'])}</code>", mark),
        *((text, f"text {mark}".rstrip()) for text in texts),
        (f"≠ {tell('differs')}" if mark else "", mark),
    ]


def _reason(reason: Mapping[str, Any]) -> str:
    hint = f' <span class="note">{escape(str(reason["hint"]))}</span>' if reason.get("hint") else ""
    return f"<b>{escape(str(reason.get('path', '')))}</b> {escape(str(reason.get('error', '')))}{hint}"
