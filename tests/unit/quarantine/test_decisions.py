"""Decisions survive in their file and are written to databases that lack them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US
from tillstream.database.base import Changes
from tillstream.errors import DatabaseUnavailable, PositionConflict
from tillstream.log.base import pack_record_id
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, Decisions, write_decisions

DAY = date(2026, 11, 23)
FIRST = Decision(1, DAY, REPLAYED, NOON_US, "a" * 32)
SECOND = Decision(2, DAY, DISCARDED, NOON_US + 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "decisions.ndjson"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_added_decisions_are_read_in_order(file: Path) -> None:
    assert list(Decisions(file).all()) == []
    decisions = Decisions(file)
    decisions.add([FIRST])
    decisions.add([SECOND])
    assert list(Decisions(file).all()) == [FIRST, SECOND]


def test_a_line_that_a_crash_cut_off_is_skipped(file: Path) -> None:
    decisions = Decisions(file)
    decisions.add([FIRST])
    with file.open("ab") as torn:
        torn.write(b'{"place": 7, "da')
    decisions.add([SECOND])
    assert list(Decisions(file).all()) == [FIRST, SECOND]


def test_a_file_that_cannot_be_written_or_read_raises_an_error(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    with pytest.raises(DatabaseUnavailable, match="could not write a decision to"):
        decisions.add([FIRST])
    with pytest.raises(DatabaseUnavailable, match="could not read the decisions in"):
        list(decisions.all())


def test_missing_decisions_are_written_to_the_database_once(pipeline: Pipeline, file: Path) -> None:
    decisions = Decisions(file)
    decisions.add([FIRST, SECOND])
    position = pipeline.database.position()
    for _ in range(2):
        decisions.apply(pipeline.database)
        rows = pipeline.database.query("SELECT place, decision, settled_key FROM decisions ORDER BY place")
        assert [tuple(row.values()) for row in rows] == [(1, REPLAYED, "a" * 32), (2, DISCARDED, "")]
    assert pipeline.database.position() == position


def test_decisions_with_the_old_stream_numbering_are_written_with_the_record_id_of_today(
    pipeline: Pipeline, file: Path
) -> None:
    old, new = pack_record_id(2, 100, 5), pack_record_id(2, 105, 0)
    decisions = Decisions(file)
    decisions.add([replace(FIRST, record_id=old), replace(SECOND, record_id=pack_record_id(0, 100, 5))])
    decisions.apply(pipeline.database)
    decided = pipeline.database.query("SELECT place FROM decisions ORDER BY place")
    assert [row["place"] for row in decided] == [pack_record_id(0, 100, 5), new]


def test_a_decision_that_the_database_has_under_its_old_record_id_is_not_written_again(
    pipeline: Pipeline, file: Path
) -> None:
    decision = replace(FIRST, record_id=pack_record_id(2, 100, 5))
    decisions = Decisions(file)
    decisions.add([decision])
    write_decisions(pipeline.database, [decision])
    decisions.apply(pipeline.database)
    assert [row["place"] for row in pipeline.database.query("SELECT place FROM decisions")] == [decision.record_id]


def test_a_commit_of_the_engine_in_between_is_retried(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, conflicts = pipeline.database.commit, iter([True, True])

    def commit_with_conflicts(changes: Changes) -> None:
        if next(conflicts, False):
            raise PositionConflict("commit to", "x", "its position is no longer 1")
        commit(changes)

    monkeypatch.setattr(pipeline.database, "commit", commit_with_conflicts)
    write_decisions(pipeline.database, [FIRST])
    assert pipeline.database.query("SELECT place FROM decisions") == [{"place": 1}]


def test_a_database_that_always_conflicts_raises_an_error(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Changes) -> None:
        raise PositionConflict("commit to", "x", "its position is no longer 1")

    monkeypatch.setattr(pipeline.database, "commit", refuse)
    with pytest.raises(PositionConflict):
        write_decisions(pipeline.database, [FIRST])
