"""What all pages have in common: header, forms, links to older entries, and the language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.access.sessions import COOKIE
from tillstream.errors import BadQuery
from tillstream.web.pages.rendering import Page, address, environment


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


@pytest.fixture
def macros() -> Any:
    return environment("en").get_template("macros.html").module


def test_given_a_session_when_a_page_is_shown_then_one_can_log_out(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    assert (
        '<form class="logout" action="/logout" method="post">'
        in client.request("/receipts", headers={"Cookie": f"{COOKIE}=x"}).text
    )
    assert "/logout" not in client.request("/receipts").text


@pytest.mark.parametrize("demo", [True, False])
def test_given_a_section_when_its_page_is_shown_then_the_header_marks_it(pipeline: Pipeline, demo: bool) -> None:
    page = DashboardClient(pipeline, demo=demo).request("/receipts?lang=fr").text
    assert ("DEMO" in page) is demo
    assert '<html lang="fr">' in page
    assert '<a href="/receipts" aria-current="page">' in page
    assert page.count("aria-current") == 1


def test_given_a_title_with_markup_when_shown_then_it_stays_text(pipeline: Pipeline) -> None:
    pipeline.append(body(cashReceiptID="<i>"))
    pipeline.drain()
    client = DashboardClient(pipeline)
    key = client.json("/api/v1/receipts")["receipts"][0]["key"]
    assert "<title>Receipt &lt;i&gt; · tillstream</title>" in client.request(f"/receipts/{key}").text


def test_given_hostile_values_when_a_form_is_written_then_they_stay_text(macros: Any) -> None:
    assert "<script>" not in macros.filters("/x", {"store": '"><script>'}, {"store": "text"})


def test_given_empty_fields_and_a_language_when_a_form_is_sent_then_the_filters_are_what_was_filled_in() -> None:
    request = Request({"type": "http", "query_string": b"day=&store=%3Cb%3E&lang=fr", "headers": []})
    page = Page(request, "receipts", False)
    assert page.filters({"day": str, "store": str}) == {"store": "<b>"}
    with pytest.raises(BadQuery, match="store"):
        page.filters({"day": str})


def test_given_a_cursor_when_there_is_more_then_the_filters_stay(macros: Any) -> None:
    assert "store=1&amp;cursor=c" in macros.older("/receipts", {"store": "1"}, "c")
    assert macros.older("/receipts", {}, None).strip() == ""
    assert address("/receipts", {}) == "/receipts"
