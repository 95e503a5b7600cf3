"""Given a folder; when it is looked at again and again; then complete files are found, and get names that are free."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tillstream.config.settings import Settings
from tillstream.errors import SettingsError
from tillstream.importing.folder import SETTLED_US, Folder, inbox_of, look


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "in")
    made.prepare()
    return made


def test_a_file_is_complete_once_it_has_not_changed_for_two_seconds(folder: Folder) -> None:
    path = folder.path / "a.json"
    path.write_bytes(b"1")
    assert folder.complete(0) == []
    assert folder.complete(SETTLED_US - 1) == []
    path.write_bytes(b"12")
    assert folder.complete(SETTLED_US) == []
    os.utime(path, ns=(5, 5))
    assert folder.complete(SETTLED_US + 1) == []
    assert folder.complete(2 * SETTLED_US) == []
    assert folder.complete(2 * SETTLED_US + 1) == [path]
    folder.unsettle(path)
    assert folder.complete(2 * SETTLED_US + 2) == []


def test_a_file_that_takes_the_name_of_another_waits_for_itself(folder: Folder) -> None:
    path, fresh = folder.path / "a.json", folder.path / ".a"
    for file in (path, fresh):
        file.write_bytes(b"1")
        os.utime(file, ns=(5, 5))
    folder.complete(0)
    fresh.rename(path)
    assert folder.complete(SETTLED_US) == []
    assert folder.complete(2 * SETTLED_US) == [path]


def test_a_clock_that_goes_back_only_makes_it_wait(folder: Folder) -> None:
    (folder.path / "a.json").touch()
    folder.complete(10 * SETTLED_US)
    assert folder.complete(0) == []
    assert folder.complete(SETTLED_US) != []


def test_the_oldest_comes_first_and_what_is_no_file_for_us_never(folder: Folder) -> None:
    for number, name in enumerate(("c.json", "a.json", "b.json", ".hidden", "d.part", "a.json.report.json")):
        (folder.path / name).touch()
        os.utime(folder.path / name, ns=(number, number))
    (folder.path / "sub").mkdir()
    (folder.path / "link.json").symlink_to(folder.path / "a.json")
    os.mkfifo(folder.path / "pipe.json")
    folder.complete(0)
    assert [path.name for path in folder.complete(SETTLED_US)] == ["c.json", "a.json", "b.json"]


def test_a_name_that_is_taken_by_a_file_or_its_report_gets_a_number(folder: Folder) -> None:
    assert folder.free_name("day.json.gz", failed=False) == "done/day.json.gz"
    (folder.path / "done" / "day.json.gz").touch()
    (folder.path / "done" / "day (2).json.gz.report.json").touch()
    assert folder.free_name("day.json.gz", failed=False) == "done/day (3).json.gz"
    assert folder.free_name("day.json.gz", failed=True) == "failed/day.json.gz"
    assert folder.taken("done/day.json.gz")
    assert folder.report("done", "x").name == "x.report.json"
    (folder.path / "failed" / "day").touch()
    assert folder.free_name("day", failed=True) == "failed/day (2)"


def test_a_file_that_is_gone_is_seen_as_none(folder: Folder) -> None:
    assert look(folder.path / "none") is None


def test_a_file_or_the_data_directory_is_no_inbox(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="it is a file"):
        inbox_of(Settings(inbox=str(tmp_path / "file")))
    with pytest.raises(SettingsError, match="it is the data directory"):
        inbox_of(Settings(inbox=str(tmp_path / "x" / ".."), data=str(tmp_path)))
    assert inbox_of(Settings(inbox=str(tmp_path / "later"))).state == tmp_path / "later" / ".tillstream"
