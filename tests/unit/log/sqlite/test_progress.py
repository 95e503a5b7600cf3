"""How far the engine has come: its reach is durable and never sinks; what it has committed may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tillstream.errors import LogUnavailable
from tillstream.log.base import START, Position
from tillstream.log.sqlite.progress import Progress


@pytest.fixture
def progress(tmp_path: Path) -> Progress:
    return Progress(tmp_path)


def test_nothing_was_told_yet(progress: Progress) -> None:
    assert (progress.committed(), progress.reach()) == (-1, -1)


def test_what_is_about_to_be_committed_moves_the_reach_alone(progress: Progress) -> None:
    progress.tell(Position((7,)), committed=True)
    progress.tell(Position((9,)), committed=False)
    assert (progress.committed(), progress.reach()) == (7, 9)


def test_the_reach_never_sinks_not_even_for_another_process(progress: Progress, tmp_path: Path) -> None:
    progress.tell(Position((9,)), committed=True)
    for each in (progress, Progress(tmp_path)):
        each.tell(START, committed=True)
        assert (each.committed(), each.reach()) == (-1, 9)


def test_a_position_from_before_there_was_a_reach_counts_as_one(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").write_text("5")
    assert progress.reach() == 5


def test_a_step_waits_for_the_disk_no_more_than_for_its_reach(
    progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    progress.tell(Position((1,)), committed=False)
    assert len(synced) == 2
    progress.tell(Position((1,)), committed=True)
    progress.tell(Position((1,)), committed=False)
    assert len(synced) == 2


def test_an_empty_file_is_as_good_as_none(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").touch()
    with capture_logs() as said:
        assert progress.committed() == -1
    assert said == []


def test_an_unreadable_file_is_told_and_the_other_one_counts(progress: Progress, tmp_path: Path) -> None:
    progress.tell(Position((3,)), committed=True)
    (tmp_path / "engine.reach").write_bytes(b"\xff")
    with capture_logs() as said:
        assert progress.reach() == 3
    assert [entry["event"] for entry in said] == ["engine_position_unreadable"]


def test_a_file_that_cannot_be_written_is_told_with_its_path(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.reach.new").mkdir()
    with pytest.raises(LogUnavailable, match=r"could not publish a position in .*engine\.reach: Is a directory"):
        progress.tell(Position((3,)), committed=False)
    assert progress.reach() == -1
