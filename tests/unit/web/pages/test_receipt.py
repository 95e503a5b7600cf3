"""A receipt's page: its lines to the cent, what is odd, its history, and nothing but text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def page_of(pipeline: Pipeline, language: str = "en") -> str:
    pipeline.drain()
    client = DashboardClient(pipeline)
    key = client.json("/api/v1/receipts")["receipts"][0]["key"]
    return client.request(f"/receipts/{key}", lang=language).text


def test_given_a_receipt_when_shown_then_it_says_what_was_sold_paid_and_taxed(pipeline: Pipeline) -> None:
    pipeline.append(body())
    page = page_of(pipeline)
    for said in ("Baguette tradition", "€5.00", "Total", "Net", "VAT", "Everything adds up.", "printed by the till"):
        assert said in page, said
    assert 'href="/shops/12?day=2026-11-23"' in page


def test_given_a_receipt_that_does_not_add_up_when_shown_then_it_says_why(pipeline: Pipeline) -> None:
    pipeline.append(body(documentTotal={"grossTotal": 9}, settlements=[]))
    page = page_of(pipeline)
    assert "The lines do not add up to the total" in page
    assert "not on any line" in page
    assert "No payments listed." in page


def test_given_a_conflict_when_the_first_is_shown_then_its_history_links_to_the_other(pipeline: Pipeline) -> None:
    pipeline.append(body())
    pipeline.drain()
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    page = page_of(pipeline)
    assert "the same receipt arrived with different content" in page
    assert 'href="/quarantine/' in page


def test_given_a_french_reader_when_shown_then_words_and_amounts_are_french(pipeline: Pipeline) -> None:
    pipeline.append(body())
    page = page_of(pipeline, "fr")
    assert '<html lang="fr">' in page
    assert "5,00\u00a0€" in page
    assert "Tout tombe juste." in page


def test_given_several_payments_of_a_kind_when_shown_then_each_of_them_is_there(pipeline: Pipeline) -> None:
    amounts = (50.0, -12.4, -32.6)
    paid = [{"paymentMechanism": "Cash", "settlementAmount": amount} for amount in amounts]
    pipeline.append(body(settlements=paid))
    page = page_of(pipeline)
    assert page.count("<dt>Cash</dt>") == 3
    assert page.index("€50.00") < page.index("€12.40") < page.index("€32.60")
