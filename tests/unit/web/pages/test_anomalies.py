"""Odd receipts are listed with the figures that show what is odd, in words, and never more than text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.queries.receipts import ANOMALIES, Evidence
from tillstream.web.pages.rendering import EVIDENCE_AMOUNTS, environment

VALUES: dict[str, str | int] = {
    **dict.fromkeys(EVIDENCE_AMOUNTS, "1.20"),
    "path": "$.<b>",
    "amount": "1.201",
    "minutes": 47,
    "hours": 1_234,
    "rates": "5.6",
}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[DashboardClient]:
    pipeline = Pipeline(tmp_path, Settings(vat_rates=["5.5", "10"]))
    pipeline.append(
        body(cashReceiptID="short", settlements=[{"settlementAmount": 4.04}]),
        body(cashReceiptID="ahead", storeID="<b>13</b>", date="2026-11-23 12:47:30"),
        body(cashReceiptID="fine"),
    )
    pipeline.drain()
    yield DashboardClient(pipeline)
    pipeline.close()


def test_given_odd_receipts_when_listed_then_each_says_its_figures(client: DashboardClient) -> None:
    page = client.request("/anomalies").text
    assert "payments cover €4.04 of €5.00" in page
    assert "dated 47 minutes ahead" in page
    assert sorted(re.findall(r'href="/receipts/[0-9a-f]{32}">(\w+)<', page)) == ["ahead", "short"]
    assert "<b>13</b>" not in page
    french = client.request("/anomalies", lang="fr").text
    assert "les paiements couvrent 4,04\u00a0€ sur 5,00\u00a0€" in french


def test_given_counts_when_followed_then_the_list_has_that_kind_alone(client: DashboardClient) -> None:
    page = client.request("/anomalies", day="2026-11-23").text
    links = [unescape(link) for link in re.findall(r'<li><a href="([^"]+)"><b>1</b>', page)]
    assert len(links) == 2
    short = client.request(next(link for link in links if "settlements_short" in link)).text
    assert re.findall(r'href="/receipts/[0-9a-f]{32}">(\w+)<', short) == ["short"]
    assert '<option value="settlements_short" selected>' in short


def test_given_what_cannot_be_asked_then_the_page_says_so(client: DashboardClient) -> None:
    assert client.request("/anomalies?kind=nonsense").status_code == 400


def test_given_a_receipt_when_its_page_is_shown_then_it_has_the_evidence(client: DashboardClient) -> None:
    [receipt] = client.json("/api/v1/anomalies", kind="settlements_short")["receipts"]
    assert "payments cover €4.04 of €5.00" in client.request(f"/receipts/{receipt['key']}").text


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("name", ANOMALIES)
def test_every_anomaly_is_told_in_every_language_with_all_its_values(name: str, language: str) -> None:
    macros: Any = environment(language).get_template("macros.html").module
    said = macros.evidence([Evidence(name, VALUES)], "EUR")
    assert re.search(r"\d", said)
    assert "{" not in said
    assert "$.<b>" not in said
    assert 'class="note"' not in macros.evidence([Evidence(name, {})], "EUR")
