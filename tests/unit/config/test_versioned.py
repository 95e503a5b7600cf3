"""Reading a versioned file: older versions are read; newer and damaged files are refused with a hint."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from msgspec import Struct

from tillstream.config import versioned
from tillstream.errors import AccessError

refuse = partial(AccessError, "read")


class Names(Struct):
    version: int
    names: list[str]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "names.json"


def test_every_version_up_to_the_newest_is_read(file: Path) -> None:
    file.write_bytes(b'{"version": 1, "names": ["a"]}')
    assert versioned.read(file, Names, 2, refuse, "-") == Names(1, ["a"])


def test_a_missing_file_has_no_content(file: Path) -> None:
    assert versioned.read(file, Names, 2, refuse, "-") is None


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
        versioned.read(file, Names, 2, refuse, "repair it")
    assert (caught.value.target, because in caught.value.because, hint in caught.value.hint) == (str(file), True, True)


def test_an_unreadable_file_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(AccessError, match="Is a directory; check its permissions"):
        versioned.read(file, Names, 2, refuse, "-")
