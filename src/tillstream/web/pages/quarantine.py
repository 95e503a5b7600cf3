"""The pages of the quarantine: the list of entries, one entry with its original, and the forms to resolve entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tillstream.errors import BadQuery, OperationalError
from tillstream.quarantine.service import ENTRIES_LIMIT, Edit, LocalQuarantineService, Outcome
from tillstream.queries.queries import Queries
from tillstream.web.api.routing import QUARANTINE_QUERY, read_body
from tillstream.web.pages.rendering import Page, Pages

KINDS = ("refused", "unreadable", "conflict")
COUNTS_SHOWN = 6

_FORM_LIMIT_BYTES = 64 * 1024


def add(pages: Pages, queries: Queries, service: LocalQuarantineService) -> None:
    """Add `/quarantine` and `/quarantine/{entry}`."""

    @pages.add("/quarantine", "quarantine")
    def quarantine(page: Page) -> HTMLResponse:
        filters, local = page.filters(QUARANTINE_QUERY), page.localizer
        counts = queries.quarantine_counts(filters.get("day"))
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
            found=queries.quarantine(filters),
        )

    @pages.add("/quarantine/{entry}", "quarantine")
    def entry(page: Page) -> HTMLResponse:
        found = queries.quarantined(page.request.path_params["entry"])
        if found is None:
            return page.missing("page_quarantine", "entry_not_found")
        return page.render("entry.html", entry=found, types=service.media_types)


def forms(service: LocalQuarantineService, *, demo: bool) -> list[Route]:
    """Return `/quarantine/replay` and `/quarantine/discard`, to which the forms of the pages post."""

    def replay(entries: list[str], media_type: str) -> Iterable[Outcome]:
        return (service.replay(entry, Edit(type=media_type)) for entry in entries)

    def discard(entries: list[str], _media_type: str) -> Iterable[Outcome]:
        return service.discard(entries)

    def route(path: str, resolve: Callable[[list[str], str], Iterable[Outcome]]) -> Route:
        async def endpoint(request: Request) -> HTMLResponse:
            body = await read_body(request, _FORM_LIMIT_BYTES)
            fields = parse_qs(body.decode("ascii", "replace"))
            entries, media_type = fields.get("entry", [])[:ENTRIES_LIMIT], fields.get("type", [""])[0]
            page = Page(request, "quarantine", demo)
            return await run_in_threadpool(_outcomes, page, lambda: resolve(entries, media_type))

        return Route(path, endpoint, methods=["POST"])

    return [route("/quarantine/replay", replay), route("/quarantine/discard", discard)]


def _outcomes(page: Page, resolve: Callable[[], Iterable[Outcome]]) -> HTMLResponse:
    """Return the page with all outcomes. If an error occurs, the page contains the error and the earlier outcomes."""
    found: list[Outcome] = []
    problem = ""
    try:
        found.extend(resolve())
    except (BadQuery, OperationalError) as error:
        problem = str(error)
    return page.render("outcomes.html", 503 if problem else 200, outcomes=found, problem=problem)
