"""The pages of the quarantine: its entries, the reasons, the originals, and the forms that replay and discard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from msgspec import convert
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, OperationalError
from tillstream.quarantine.service import ENTRIES_LIMIT, Edit, LocalQuarantineService, Outcome
from tillstream.queries.queries import Queries
from tillstream.web.api.quarantine import read_body
from tillstream.web.api.routing import QUARANTINE_QUERY
from tillstream.web.api.schemas.quarantine import Entries, EntryDetails, QuarantineCounts
from tillstream.web.pages.rendering import Page, Pages

KINDS = ("refused", "unreadable", "conflict")
COUNTS_SHOWN = 6

_FORM_LIMIT_BYTES = 64 * 1024


def add(pages: Pages, queries: Queries, service: LocalQuarantineService) -> None:
    """`/quarantine` and `/quarantine/{entry}`."""

    @pages.add("/quarantine", "quarantine")
    def quarantine(page: Page) -> HTMLResponse:
        filters, local = page.filters(QUARANTINE_QUERY), page.localizer
        counts = convert(queries.quarantine_counts(filters.get("day")), QuarantineCounts)
        decided = {"replayed": counts.replayed, "discarded": counts.discarded}
        kinds = {"": local.text("any"), **{kind: local.text(f"kind_{kind}") for kind in KINDS}}
        return page.render(
            "quarantine.html",
            filters=filters,
            fields={"day": "date", "kind": kinds, "source": "text", "reason": "text"},
            is_resolved=filters.get("settled") == "1",
            counts=counts,
            shown=COUNTS_SHOWN,
            decisions=[
                f"{local.count(each)} {local.text(f'outcome_{name}')}" for name, each in decided.items() if each
            ],
            found=convert(queries.quarantine(filters), Entries),
        )

    @pages.add("/quarantine/{entry}", "quarantine")
    def entry(page: Page) -> HTMLResponse:
        found = queries.quarantined(page.request.path_params["entry"])
        if found is None:
            return page.missing("page_quarantine", "entry_not_found")
        return page.render("entry.html", entry=convert(found, EntryDetails), types=service.media_types)


def forms(service: LocalQuarantineService, settings: Settings, *, demo: bool) -> list[Route]:
    """`/quarantine/replay` and `/quarantine/discard`, which the pages' buttons post to."""

    async def replay(request: Request) -> HTMLResponse:
        entries, media_type = await _selected(request, settings)

        def outcomes() -> Iterable[Outcome]:
            for entry in entries:
                yield service.replay(entry, Edit(type=media_type))

        return await run_in_threadpool(_outcomes, Page(request, "quarantine", demo), outcomes)

    async def discard(request: Request) -> HTMLResponse:
        entries, _ = await _selected(request, settings)
        return await run_in_threadpool(_outcomes, Page(request, "quarantine", demo), lambda: service.discard(entries))

    return [
        Route("/quarantine/replay", replay, methods=["POST"]),
        Route("/quarantine/discard", discard, methods=["POST"]),
    ]


async def _selected(request: Request, settings: Settings) -> tuple[list[str], str]:
    """The entries that a form names, and the media type to replay them as."""
    body = await read_body(request, _FORM_LIMIT_BYTES, settings)
    fields = parse_qs(body.decode("ascii", "replace"))
    return fields.get("entry", [])[:ENTRIES_LIMIT], fields.get("type", [""])[0]


def _outcomes(page: Page, resolve: Callable[[], Iterable[Outcome]]) -> HTMLResponse:
    """The page with the outcome of each entry; where ingest is down, of those before."""
    found: list[Outcome] = []
    problem = ""
    try:
        found.extend(resolve())
    except (BadQuery, OperationalError) as error:
        problem = str(error)
    return page.render("outcomes.html", 503 if problem else 200, outcomes=found, problem=problem)
