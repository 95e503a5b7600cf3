"""Files are replaced atomically, read up to their newest version, and read again after a change."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import structlog.testing
from msgspec import Struct

from tests.inprocess.clock import ManualClock
from tillstream.config.files import WatchedFile, read_versioned, replace_file
from tillstream.errors import AccessError

NOBODY = 65534
refuse = partial(AccessError, "read")


class Names(Struct):
    version: int
    names: list[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_every_version_up_to_the_newest_is_read(file: Path) -> None:
    file.write_bytes(b'{"version": 1, "names": ["a"]}')
    assert read_versioned(file, Names, 2, refuse, "-") == Names(1, ["a"])


def test_a_missing_file_has_no_content(file: Path) -> None:
    assert read_versioned(file, Names, 2, refuse, "-") is None


@pytest.mark.parametrize(
    ("text", "because", "hint"),
    [
        (b'{"version": 3, "people": []}', "its version is 3, and this tillstream reads versions up to 2", "newer"),
        (b'{"version": 2, "names": [1]}', "Expected `str`, got `int`", "repair it"),
        (b"{", "truncated", "repair it"),
        (b'{"version": 1, "names": ["\xff"]}', "utf-8", "repair it"),
        (b"[]", "Expected `object`", "repair it"),
    ],
)
def test_an_unusable_file_is_refused_with_a_cause_and_a_hint(file: Path, text: bytes, because: str, hint: str) -> None:
    file.write_bytes(text)
    with pytest.raises(AccessError) as caught:
        read_versioned(file, Names, 2, refuse, "repair it")
    assert (caught.value.target, because in caught.value.because, hint in caught.value.hint) == (str(file), True, True)


def test_an_unreadable_file_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(AccessError, match="Is a directory; check its permissions"):
        read_versioned(file, Names, 2, refuse, "-")


def test_a_secret_is_readable_by_its_owner_only_and_replaced_atomically(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    replace_file(file, b"one", secret=True)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o600)
    file.chmod(0o644)
    replace_file(file, b"two", secret=True)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_secret_written_by_an_administrator_belongs_to_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    for text in (b"new", b"replaced"):
        replace_file(tmp_path / "secret", text, secret=True)
        assert (tmp_path / "secret").stat().st_uid == NOBODY


def read(file: Path) -> str:
    text = file.read_text() if file.exists() else "none"
    if text == "broken":
        raise AccessError("read", file, "it is broken")
    return text


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


def watched(file: Path, clock: ManualClock) -> WatchedFile[str]:
    return WatchedFile(file, clock, read, "first", "thing", lambda text: {"letters": len(text)})


def test_without_a_file_the_initial_content_is_valid(file: Path, clock: ManualClock) -> None:
    assert watched(file, clock)() == "first"


def test_a_change_is_read_after_a_second_and_not_checked_earlier(file: Path, clock: ManualClock) -> None:
    file.write_text("one")
    content = watched(file, clock)
    assert (content.due, content.latest, content()) == (True, "first", "one")
    file.write_text("two two")
    clock.advance(0.9)
    assert (content.due, content()) == (False, "one")
    clock.advance(0.1)
    assert (content.due, content()) == (True, "two two")


def test_check_reads_a_change_at_once(file: Path, clock: ManualClock) -> None:
    content = watched(file, clock)
    content()
    file.write_text("now")
    assert content.check() == "now"


def test_an_unreadable_file_is_logged_once_and_the_last_content_stays(file: Path, clock: ManualClock) -> None:
    file.write_text("good")
    content = watched(file, clock)
    assert content() == "good"
    with structlog.testing.capture_logs() as logged:
        file.write_text("broken")
        for _ in range(3):
            clock.advance(1)
            assert content() == "good"
        file.unlink()
        clock.advance(1)
        assert content() == "none"
    assert [entry["event"] for entry in logged] == ["thing.unreadable", "thing.read"]
    assert (logged[0]["letters_in_force"], logged[1]["letters"]) == (4, 4)


def test_a_slow_check_does_not_block_other_threads(file: Path, clock: ManualClock) -> None:
    file.write_text("one")
    seen: list[str] = []

    def slow(path: Path) -> str:
        clock.advance(5)
        seen.append(content())
        return path.read_text()

    content = WatchedFile(file, clock, slow, "first", "thing", lambda text: {})
    assert (content(), seen) == ("one", ["first"])
