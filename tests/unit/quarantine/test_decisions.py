"""Decisions are kept in their file, survive what happens to it, and reach a store that does not know them."""

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
from tillstream.log.base import pack_place
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, Decisions, settle

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


def test_what_was_added_is_read_in_order_by_whoever_comes(file: Path) -> None:
    assert list(Decisions(file).all()) == []
    decisions = Decisions(file)
    decisions.add([FIRST])
    decisions.add([SECOND])
    assert list(Decisions(file).all()) == [FIRST, SECOND]


def test_a_line_that_a_crash_cut_off_is_passed_over_and_spoils_none(file: Path) -> None:
    decisions = Decisions(file)
    decisions.add([FIRST])
    with file.open("ab") as torn:
        torn.write(b'{"place": 7, "da')
    decisions.add([SECOND])
    assert list(Decisions(file).all()) == [FIRST, SECOND]


def test_a_file_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    with pytest.raises(DatabaseUnavailable, match="could not keep a decision in"):
        decisions.add([FIRST])
    with pytest.raises(DatabaseUnavailable, match="could not read the decisions in"):
        list(decisions.all())


def test_a_store_learns_what_it_does_not_know_once(pipeline: Pipeline, file: Path) -> None:
    decisions = Decisions(file)
    decisions.add([FIRST, SECOND])
    position = pipeline.store.position()
    for _ in range(2):
        decisions.apply(pipeline.store)
        rows = pipeline.store.query("SELECT place, decision, settled_key FROM decisions ORDER BY place")
        assert [tuple(row.values()) for row in rows] == [(1, REPLAYED, "a" * 32), (2, DISCARDED, "")]
    assert pipeline.store.position() == position


def test_a_decision_about_a_place_that_depended_on_the_read_is_told_of_where_the_record_stands(
    pipeline: Pipeline, file: Path
) -> None:
    noted, place = pack_place(2, 100, 5), pack_place(2, 105, 0)
    decisions = Decisions(file)
    decisions.add([replace(FIRST, place=noted), replace(SECOND, place=pack_place(0, 100, 5))])
    decisions.apply(pipeline.store)
    decided = pipeline.store.query("SELECT place FROM decisions ORDER BY place")
    assert [row["place"] for row in decided] == [pack_place(0, 100, 5), place]


def test_a_store_that_knows_a_decision_under_the_place_that_it_was_made_with_is_told_nothing(
    pipeline: Pipeline, file: Path
) -> None:
    decision = replace(FIRST, place=pack_place(2, 100, 5))
    decisions = Decisions(file)
    decisions.add([decision])
    settle(pipeline.store, [decision])
    decisions.apply(pipeline.store)
    assert [row["place"] for row in pipeline.store.query("SELECT place FROM decisions")] == [decision.place]


def test_a_commit_of_the_engine_in_between_is_no_obstacle(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, stumbles = pipeline.store.commit, iter([True, True])

    def stumbling(changes: Changes) -> None:
        if next(stumbles, False):
            raise PositionConflict("commit to", "x", "its position is no longer 1")
        commit(changes)

    monkeypatch.setattr(pipeline.store, "commit", stumbling)
    settle(pipeline.store, [FIRST])
    assert pipeline.store.query("SELECT place FROM decisions") == [{"place": 1}]


def test_a_store_that_always_refuses_is_told(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Changes) -> None:
        raise PositionConflict("commit to", "x", "its position is no longer 1")

    monkeypatch.setattr(pipeline.store, "commit", refuse)
    with pytest.raises(PositionConflict):
        settle(pipeline.store, [FIRST])
