"""The quarantine's tables in DuckDB stay bounded, whatever comes and however people decide."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US
from tillstream.database.duckdb import quarantine_tables
from tillstream.quarantine.decisions import DISCARDED, Decision, write_decisions

TODAY = date(2026, 11, 23)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def refuse(pipeline: Pipeline, number: int) -> None:
    pipeline.refuse(b"x" * 100, [{"path": f"$.field{number}", "error": "it is missing"}])
    pipeline.drain()
    pipeline.clock.advance(1)


def test_given_more_reasons_than_a_day_is_counted_by_then_the_rest_counts_as_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_tables, "GROUPS_LIMIT", 2)
    for number in (1, 2, 3, 4, 1):
        refuse(pipeline, number)
    counted = pipeline.database.query("SELECT reason, source, entries FROM set_aside ORDER BY reason")
    assert [tuple(row.values()) for row in counted] == [
        ("$.field1 missing", "json/http", 2),
        ("$.field2 missing", "json/http", 1),
        ("(other) other", "(other)", 2),
    ]


def test_given_settled_entries_beyond_their_number_then_the_oldest_go_and_are_counted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        quarantine_tables, "_SURPLUS", quarantine_tables._SURPLUS.replace(str(quarantine_tables.SETTLED_LIMIT), "1")
    )
    for number in range(3):
        refuse(pipeline, number)
    places = [row["place"] for row in pipeline.database.query("SELECT place FROM quarantine ORDER BY place")]
    write_decisions(pipeline.database, [Decision(place, TODAY, DISCARDED, NOON_US) for place in places])
    refuse(pipeline, 3)
    kept = pipeline.database.query("SELECT place FROM quarantine ORDER BY place")
    assert [row["place"] for row in kept][:1] == places[2:]
    assert len(kept) == 2
    assert (pipeline.counter("settled_dropped"), pipeline.counter("quarantine_dropped")) == (2, 0)
