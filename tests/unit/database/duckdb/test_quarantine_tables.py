"""The quarantine tables stay bounded, for any entries and decisions."""

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


def test_given_more_reasons_than_the_limit_of_a_day_then_the_rest_counts_as_other(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_tables, "GROUPS_LIMIT", 2)
    for number in (1, 2, 3, 4, 1):
        refuse(pipeline, number)
    counts = pipeline.database.query("SELECT reason, source, entries FROM set_aside ORDER BY reason")
    assert [tuple(row.values()) for row in counts] == [
        ("$.field1 missing", "json/http", 2),
        ("$.field2 missing", "json/http", 1),
        ("(other) other", "(other)", 2),
    ]


def test_given_more_resolved_entries_than_the_limit_then_the_oldest_are_removed_and_counted(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        quarantine_tables,
        "_OVER_QUOTA",
        quarantine_tables._OVER_QUOTA.replace(str(quarantine_tables.RESOLVED_LIMIT), "1"),
    )
    for number in range(3):
        refuse(pipeline, number)
    record_ids = [row["place"] for row in pipeline.database.query("SELECT place FROM quarantine ORDER BY place")]
    write_decisions(pipeline.database, [Decision(record_id, TODAY, DISCARDED, NOON_US) for record_id in record_ids])
    refuse(pipeline, 3)
    stored = pipeline.database.query("SELECT place FROM quarantine ORDER BY place")
    assert [row["place"] for row in stored][:1] == record_ids[2:]
    assert len(stored) == 2
    assert (pipeline.counter("settled_dropped"), pipeline.counter("quarantine_dropped")) == (2, 0)
