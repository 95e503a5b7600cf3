"""The engine's progress: the prepared position is durable and never goes back, and the committed one may."""

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


def test_without_files_the_progress_is_at_the_start(progress: Progress) -> None:
    assert (progress.committed(), progress.prepared()) == (-1, -1)


def test_a_prepared_position_does_not_change_the_committed_one(progress: Progress) -> None:
    progress.publish(Position((7,)), committed=True)
    progress.publish(Position((9,)), committed=False)
    assert (progress.committed(), progress.prepared()) == (7, 9)


def test_the_prepared_position_never_goes_back_even_in_another_process(progress: Progress, tmp_path: Path) -> None:
    progress.publish(Position((9,)), committed=True)
    for each in (progress, Progress(tmp_path)):
        each.publish(START, committed=True)
        assert (each.committed(), each.prepared()) == (-1, 9)


def test_without_a_prepared_position_the_committed_one_counts(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").write_text("5")
    assert progress.prepared() == 5


def test_only_a_new_prepared_position_waits_for_the_disk(progress: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    progress.publish(Position((1,)), committed=False)
    assert len(synced) == 2
    progress.publish(Position((1,)), committed=True)
    progress.publish(Position((1,)), committed=False)
    assert len(synced) == 2


def test_an_empty_file_counts_as_missing(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.position").touch()
    with capture_logs() as events:
        assert progress.committed() == -1
    assert events == []


def test_an_unreadable_file_is_logged_and_the_other_one_counts(progress: Progress, tmp_path: Path) -> None:
    progress.publish(Position((3,)), committed=True)
    (tmp_path / "engine.reach").write_bytes(b"\xff")
    with capture_logs() as events:
        assert progress.prepared() == 3
    assert [entry["event"] for entry in events] == ["log.engine_position_unreadable"]


def test_an_error_on_writing_names_the_file(progress: Progress, tmp_path: Path) -> None:
    (tmp_path / "engine.reach.new").mkdir()
    with pytest.raises(LogUnavailable, match=r"could not publish a position in .*engine\.reach: Is a directory"):
        progress.publish(Position((3,)), committed=False)
    assert progress.prepared() == -1
