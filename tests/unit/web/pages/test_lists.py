"""Receipts and quarantine as pages: complete, linked, and never more than text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_given_receipts_when_listed_then_each_links_to_its_own_page(pipeline: Pipeline) -> None:
    pipeline.append(body(), body(cashReceiptID="2"))
    pipeline.drain()
    client = DashboardClient(pipeline)
    links = re.findall(r'href="(/receipts/[0-9a-f]{32})"', client.request("/receipts").text)
    assert len(links) == 2
    page = client.request(links[0]).text
    assert "Receipt 2" in page
    assert "€5.00" in page
    assert "Baguette tradition" in page


def test_given_more_than_a_page_when_listed_then_the_older_ones_are_linked(pipeline: Pipeline) -> None:
    pipeline.append(*(body(cashReceiptID=str(number)) for number in range(3)))
    pipeline.drain()
    client = DashboardClient(pipeline)
    seen = []
    path = "/receipts?limit=2&store=12&till="
    while path:
        page = client.request(path).text
        seen += re.findall(r'href="/receipts/[0-9a-f]{32}">(\d)<', page)
        older = re.search(r'href="([^"]+)">Older', page)
        path = unescape(older[1]) if older else ""
    assert seen == ["2", "1", "0"]


def test_given_receipts_of_other_days_when_those_that_arrived_are_listed_then_the_list_and_its_form_say_so(
    pipeline: Pipeline,
) -> None:
    pipeline.append(
        body(), body(cashReceiptID="2", date="2017-11-18 20:39:32"), body(cashReceiptID="3", date="2026-11-22 09:00:00")
    )
    pipeline.drain()
    page = DashboardClient(pipeline).request("/receipts?arrived=2026-11-23").text
    assert sorted(re.findall(r'href="/receipts/[0-9a-f]{32}">(\d)<', page)) == ["2", "3"]
    assert "arrived on Mon 23 Nov 2026 for other days" in page
    assert 'name="arrived" type="date" value="2026-11-23"' in page
    assert "arrived" not in DashboardClient(pipeline).request("/receipts").text


def test_given_scripts_in_every_text_when_shown_then_they_stay_text(pipeline: Pipeline) -> None:
    line = body()["lines"][0] | {"productDescription": SCRIPT, "productCategoryName": SCRIPT}
    paid = [{"paymentMechanism": SCRIPT, "settlementAmount": 5}]
    pipeline.append(body(cashReceiptID=SCRIPT, storeID=SCRIPT, terminalID=SCRIPT, lines=[line], settlements=paid))
    pipeline.refuse(SCRIPT.encode(), [{"path": SCRIPT, "error": SCRIPT, "hint": SCRIPT}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    key = client.json("/api/v1/receipts")["receipts"][0]["key"]
    entry = client.json("/api/v1/quarantine")["entries"][0]["id"]
    for path in (
        "/receipts",
        f"/receipts/{key}",
        "/quarantine",
        f"/quarantine/{entry}",
        f"/receipts?store={SCRIPT}&limit=x",
    ):
        page = client.request(path).text
        assert "<script" not in page, path
        assert "&lt;script&gt;" in page or "limit" in path, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/receipts?day=x", 400),
        ("/receipts?arrived=<b>", 400),
        ("/receipts/x", 400),
        (f"/receipts/{'0' * 32}", 404),
        ("/shops?day=x", 400),
    ],
)
def test_given_what_cannot_be_shown_when_asked_then_a_page_says_so(pipeline: Pipeline, path: str, status: int) -> None:
    answer = DashboardClient(pipeline).request(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


def test_given_sales_when_shops_are_listed_then_each_links_to_its_own_page(pipeline: Pipeline) -> None:
    pipeline.append(body(), body(storeID="a/b", cashReceiptID="2"))
    pipeline.drain()
    page = DashboardClient(pipeline).request("/shops?lang=fr").text
    assert 'href="/shops/a%2Fb?day=2026-11-23"' in page
    assert "5,00\u00a0€" in page


def test_given_alerts_when_listed_then_each_says_what_and_leads_to_its_evidence(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    assert "Nothing needs attention." in client.request("/alerts").text
    for number in range(30):
        pipeline.refuse(b"{%d" % number, [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    page = DashboardClient(pipeline).request("/alerts?lang=fr").text
    assert "Des tickets sont refusés" in page
    assert "30 en une heure" in page
    assert 'href="/quarantine' in page


def test_given_a_demo_when_a_list_is_shown_then_it_says_so(pipeline: Pipeline) -> None:
    assert "DEMO" in DashboardClient(pipeline, demo=True).request("/receipts").text
    assert "DEMO" not in DashboardClient(pipeline).request("/receipts").text
