"""A receipt that is sent in every format, in any order, counts once and never conflicts with itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inprocess.pipeline_harness import PipelineHarness, pipeline_harness
from tests.support.encoders import to_csv, to_form, to_xml
from tests.support.receipt_strategies import valid_receipts
from tillstream.formats import envelope
from tillstream.formats.base import Record
from tillstream.formats.canonical import encode

Receipts = Sequence[dict[str, Any]]

ENCODERS: dict[str, tuple[str, Callable[[Receipts], bytes]]] = {
    "JSON": ("application/json", lambda several: b"[" + b", ".join(map(encode, several)) + b"]"),
    "NDJSON": ("application/x-ndjson", lambda several: b"\n".join(map(encode, several))),
    "records": (
        envelope.MEDIA_TYPE,
        lambda several: b"\n".join(envelope.receipt(Record(encode(each)), "mine/gateway") for each in several),
    ),
    "CSV": ("text/csv", to_csv),
    "CSV as in France": ("text/csv", lambda several: to_csv(several, ";", comma=True)),
    "XML": ("application/xml", lambda several: b"<receipts>" + b"\n".join(map(to_xml, several)) + b"</receipts>"),
}
FORM = "application/x-www-form-urlencoded"

stores = count(1)
several = st.lists(
    valid_receipts(blanks=False, controls=False), min_size=1, max_size=3, unique_by=lambda each: each["cashReceiptID"]
)


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHarness]:
    with pipeline_harness(tmp_path_factory.mktemp("harness")) as running:
        yield running


def stored(harness: PipelineHarness) -> int:
    [row] = harness.pipeline.database.query("SELECT count(*) AS receipts FROM receipts")
    return int(row["receipts"])


def quarantined(harness: PipelineHarness) -> int:
    """Number of quarantined entries, including conflicts."""
    return len(harness.pipeline.database.query("SELECT place FROM quarantine"))


@settings(deadline=None, max_examples=20)
@given(several, st.permutations([*ENCODERS, "form"]), st.booleans())
def test_given_a_receipt_in_every_format_then_all_but_the_first_are_duplicates(
    harness: PipelineHarness, drawn: Receipts, order: Sequence[str], one_step: bool
) -> None:
    # Each run has its own stores, because hypothesis may repeat an example.
    written = [{**receipt, "storeID": f"S{next(stores)}"} for receipt in drawn]
    before, duplicates, quarantined_before = (
        stored(harness),
        harness.pipeline.counter("duplicates"),
        quarantined(harness),
    )
    post = harness.ingest.post if one_step else harness.post
    for name in order:
        if name == "form":
            for receipt in written:
                assert post("/receipt", to_form(receipt), FORM).status == 202
            continue
        media_type, write = ENCODERS[name]
        answer = post("/receipts", write(written), media_type)
        assert (answer.json["accepted"], answer.json["rejected"]) == (len(written), [])
    harness.pipeline.drain()
    assert stored(harness) == before + len(written)
    assert harness.pipeline.counter("duplicates") == duplicates + (len(order) - 1) * len(written)
    assert quarantined(harness) == quarantined_before


def test_other_content_is_a_conflict_in_any_format(harness: PipelineHarness) -> None:
    receipt = {
        "cashReceiptID": "1",
        "storeID": f"S{next(stores)}",
        "date": "2026-11-23 10:15:00",
        "documentTotal": {"grossTotal": "1.20"},
    }
    assert harness.post("/receipts", to_xml(receipt), "application/xml").status == 202
    conflicts = harness.pipeline.counter("conflicts")
    other = {**receipt, "documentTotal": {"grossTotal": "1.30"}}
    assert harness.post("/receipt", to_form(other), FORM).status == 202
    assert harness.post("/receipts", to_csv([other]), "text/csv").status == 202
    assert harness.pipeline.counter("conflicts") == conflicts + 2
