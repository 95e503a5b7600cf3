"""Source files are selected, opened by content or name, and recognized again by their identity."""

from __future__ import annotations

import gzip
import io
import os
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.numbered_receipts import ndjson
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.base import Record, Unreadable
from tillstream.importing.source_file import (
    STDIN,
    CannotRead,
    SourceFile,
    UnknownFormat,
    display_name,
    is_ignored,
    open_file,
    printable,
    select,
    total_size,
)

FORMATS = registry.load(Settings())


def opened(path: Path, wanted: str = "") -> SourceFile:
    return open_file(path, FORMATS, FORMATS.named(wanted) if wanted else None)


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("a.json", b"[]", "JSON"),
        ("a.json", ndjson(range(2)), "NDJSON"),
        ("a", ndjson(range(2)), "NDJSON"),
        ("a.ndjson.gz", gzip.compress(b"\n", mtime=0), "NDJSON"),
        ("a.GZ", gzip.compress(ndjson(range(2)), mtime=0), "NDJSON"),
        ("a.txt", b'{"source": "mine/till", "receipt": {}}\n', "Records"),
    ],
)
def test_the_format_is_found_by_content_and_then_by_name(tmp_path: Path, name: str, content: bytes, title: str) -> None:
    (tmp_path / name).write_bytes(content)
    with closing(opened(tmp_path / name)) as file:
        assert file.decoder.title == title
        assert file.size == len(content)


def test_a_named_format_is_used_instead_of_detection(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1,\n2]")
    with closing(opened(tmp_path / "a.json", "ndjson")) as file:
        assert [item.body for item in file.items() if isinstance(item, Record)] == [b"[1,", b"2]"]
        assert file.position == file.size == 6


def test_truncated_compressed_data_end_with_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(gzip.compress(ndjson(range(2)))[:-4])
    with closing(opened(tmp_path / "a.ndjson")) as file:
        *records, last = file.items()
    assert len(records) == 2
    assert isinstance(last, Unreadable)
    assert (last.where, last.faults[0].error) == ("the end of the file", "the gzip data end too early")


def test_a_pipe_has_neither_size_nor_identity(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, ndjson(range(3)))
    os.close(writing)
    with closing(opened(Path(f"/dev/fd/{reading}"))) as file:
        assert (file.size, file.identity) == (None, "")
        assert len(list(file.items())) == 3
    os.close(reading)


def test_a_file_that_was_partly_read_before_has_no_identity(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(3)))
    rest = io.FileIO(path)
    rest.seek(len(ndjson(range(1))))
    with closing(SourceFile("standard input", rest, FORMATS, None)) as file:
        assert (file.size, file.identity) == (None, "")
        assert len(list(file.items())) == 2


def test_the_identity_changes_with_the_file_but_not_with_its_name(tmp_path: Path) -> None:
    def identity(path: Path) -> str:
        with closing(opened(path)) as file:
            return file.identity

    path, other = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    path.write_bytes(ndjson(range(3)))
    os.utime(path, ns=(1, 1))
    first = identity(path)
    assert identity(path.rename(other)) == first
    os.utime(other, ns=(2, 2))
    assert identity(other) != first
    other.write_bytes(ndjson(range(4, 7)))
    os.utime(other, ns=(1, 1))
    assert identity(other) != first


def test_every_name_is_printable(tmp_path: Path) -> None:
    assert display_name(Path(os.fsdecode(b"in/\xc3\xa9 \xe9.csv"))) == "in/é \\xe9.csv"
    assert display_name(Path("-")) == "standard input"
    assert printable("a.json") == "a.json"


@pytest.mark.parametrize(
    ("content", "because"),
    [(b"", "it is empty"), (b"PK\x03\x04...", "it is a zip archive"), (b"who knows", "shows its format")],
)
def test_an_unknown_format_is_an_error_with_the_reason(tmp_path: Path, content: bytes, because: str) -> None:
    (tmp_path / "a.xyz").write_bytes(content)
    with pytest.raises(UnknownFormat, match=because):
        opened(tmp_path / "a.xyz")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="No such file"):
        opened(tmp_path / "none.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.json", "a.json", ".hidden", "a.json.report.json", "c.PART", "sub/d.json", ".tillstream/x.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("12")
    return tmp_path


def test_a_folder_means_the_files_in_it_and_below_it_by_name(folder: Path) -> None:
    assert list(select([folder / "b.json", folder])) == [
        folder / "b.json",
        folder / "a.json",
        folder / "b.json",
        folder / "sub" / "d.json",
    ]


def test_a_file_that_is_named_is_selected_whatever_its_name(folder: Path) -> None:
    assert list(select([folder / ".hidden", STDIN])) == [folder / ".hidden", STDIN]


def test_a_missing_path_is_an_error_before_any_file_is_selected(folder: Path) -> None:
    with pytest.raises(CannotRead, match=r"none\.json: No such file.*check the path"):
        select([folder, folder / "none.json"])


def test_the_total_size_is_unknown_if_one_file_is_a_pipe(folder: Path) -> None:
    assert total_size(list(select([folder]))) == 6
    assert total_size([folder / "a.json", STDIN]) is None


@pytest.mark.parametrize("name", [".x.json", "x.part", "x.TMP", "x.json.crdownload", "x.json.report.json"])
def test_unfinished_and_hidden_files_and_reports_are_ignored(name: str) -> None:
    assert is_ignored(name)
    assert not is_ignored(f"a{name}.json")
