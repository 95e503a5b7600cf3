"""Given names of files and folders; when files are chosen; then all that are meant come in order, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillstream.importing.selection import chosen, left_alone, size_bytes
from tillstream.importing.source_file import STDIN, CannotRead


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.json", "a.json", ".hidden", "a.json.report.json", "c.PART", "sub/d.json", ".tillstream/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("12")
    return tmp_path


def test_a_folder_stands_for_its_files_by_name_and_those_below_it(folder: Path) -> None:
    assert list(chosen([folder / "b.json", folder])) == [
        folder / "b.json",
        folder / "a.json",
        folder / "b.json",
        folder / "sub" / "d.json",
    ]


def test_what_is_named_itself_is_meant_whatever_its_name(folder: Path) -> None:
    assert list(chosen([folder / ".hidden", STDIN])) == [folder / ".hidden", STDIN]


def test_what_is_not_there_is_told_before_anything_is_done(folder: Path) -> None:
    with pytest.raises(CannotRead, match=r"none\.json: No such file.*check the path"):
        chosen([folder, folder / "none.json"])


def test_the_size_of_all_is_known_unless_one_has_no_end_that_is_known(folder: Path) -> None:
    assert size_bytes(list(chosen([folder]))) == 6
    assert size_bytes([folder / "a.json", STDIN]) is None


@pytest.mark.parametrize("name", [".x.json", "x.part", "x.TMP", "x.json.crdownload", "x.json.report.json"])
def test_unfinished_and_hidden_files_and_reports_are_left_alone(name: str) -> None:
    assert left_alone(name)
    assert not left_alone(f"a{name}.json")
