"""A watched file is read again after a change; if it becomes unreadable, the last content stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from tillstream.clock import ManualClock
from tillstream.config.watched import Watched
from tillstream.errors import AccessError


def read(file: Path) -> str:
    text = file.read_text() if file.exists() else "none"
    if text == "broken":
        raise AccessError("read", file, "it is broken")
    return text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


def watched(file: Path, clock: ManualClock) -> Watched[str]:
    return Watched(file, clock, read, "first", "thing", lambda text: {"letters": len(text)})


def test_without_a_file_the_initial_content_is_valid(file: Path, clock: ManualClock) -> None:
    assert watched(file, clock)() == "first"


def test_a_change_is_read_after_a_second_and_not_checked_earlier(file: Path, clock: ManualClock) -> None:
    file.write_text("one")
    asked = watched(file, clock)
    assert (asked.due, asked.latest, asked()) == (True, "first", "one")
    file.write_text("two two")
    clock.advance(0.9)
    assert (asked.due, asked()) == (False, "one")
    clock.advance(0.1)
    assert (asked.due, asked()) == (True, "two two")


def test_check_reads_a_change_at_once(file: Path, clock: ManualClock) -> None:
    asked = watched(file, clock)
    asked()
    file.write_text("now")
    assert asked.check() == "now"


def test_an_unreadable_file_is_logged_once_and_the_last_content_stays(file: Path, clock: ManualClock) -> None:
    file.write_text("good")
    asked = watched(file, clock)
    assert asked() == "good"
    with structlog.testing.capture_logs() as logged:
        file.write_text("broken")
        for _ in range(3):
            clock.advance(1)
            assert asked() == "good"
        file.unlink()
        clock.advance(1)
        assert asked() == "none"
    assert [entry["event"] for entry in logged] == ["thing.unreadable", "thing.read"]
    assert (logged[0]["letters_in_force"], logged[1]["letters"]) == (4, 4)


def test_a_slow_check_does_not_block_other_threads(file: Path, clock: ManualClock) -> None:
    file.write_text("one")
    seen: list[str] = []

    def slow(path: Path) -> str:
        clock.advance(5)
        seen.append(asked())
        return path.read_text()

    asked = Watched(file, clock, slow, "first", "thing", lambda text: {})
    assert (asked(), seen) == ("one", ["first"])
