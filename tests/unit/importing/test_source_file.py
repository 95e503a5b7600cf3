"""Given files; when they are opened; then their format is found by content or name, and they are known again."""

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
from tillstream.importing.source_file import CannotRead, SourceFile, UnknownFormat, open_file, readable, shown

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
def test_the_format_is_found_by_content_and_else_by_name(tmp_path: Path, name: str, content: bytes, title: str) -> None:
    (tmp_path / name).write_bytes(content)
    with closing(opened(tmp_path / name)) as file:
        assert file.decoder.title == title
        assert file.size == len(content)


def test_the_wanted_format_wins(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1,\n2]")
    with closing(opened(tmp_path / "a.json", "ndjson")) as file:
        assert [item.body for item in file.items() if isinstance(item, Record)] == [b"[1,", b"2]"]
        assert file.position == file.size == 6


def test_compressed_data_that_break_off_are_a_fault_behind_what_came(tmp_path: Path) -> None:
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


def test_the_rest_of_a_file_is_not_known_as_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(3)))
    rest = io.FileIO(path)
    rest.seek(len(ndjson(range(1))))
    with closing(SourceFile("standard input", rest, FORMATS, None)) as file:
        assert (file.size, file.identity) == (None, "")
        assert len(list(file.items())) == 2


def test_a_file_is_known_again_until_anything_of_it_changes(tmp_path: Path) -> None:
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


def test_a_name_is_readable_whatever_its_bytes(tmp_path: Path) -> None:
    assert shown(Path(os.fsdecode(b"in/\xc3\xa9 \xe9.csv"))) == "in/é \\xe9.csv"
    assert shown(Path("-")) == "standard input"
    assert readable("a.json") == "a.json"


@pytest.mark.parametrize(
    ("content", "because"),
    [(b"", "it is empty"), (b"PK\x03\x04...", "it is a zip archive"), (b"who knows", "of what format it is")],
)
def test_what_is_of_no_known_format_is_told_with_what_to_try(tmp_path: Path, content: bytes, because: str) -> None:
    (tmp_path / "a.xyz").write_bytes(content)
    with pytest.raises(UnknownFormat, match=because):
        opened(tmp_path / "a.xyz")


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="No such file"):
        opened(tmp_path / "none.json")
