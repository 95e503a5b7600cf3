"""Given a file of ours; when it is read; then a newer or a damaged one is told with what to try."""

from __future__ import annotations

import pytest
from msgspec import Struct

from tillstream.config.versioned import Unusable, decode


class Kept(Struct):
    version: int
    names: list[str]


def test_what_it_holds_is_read_in_any_version_up_to_the_newest() -> None:
    assert decode(b'{"version": 1, "names": ["a"]}', Kept, 2, "-").names == ["a"]


@pytest.mark.parametrize(
    ("text", "because", "hint"),
    [
        (b'{"version": 3, "people": []}', "its version is 3, and this tillstream reads versions up to 2", "newer"),
        (b'{"version": 2, "names": [1]}', "Expected `str`, got `int`", "mend it"),
        (b"{", "truncated", "mend it"),
        (b'{"version": 1, "names": ["\xff"]}', "utf-8", "mend it"),
        (b"[]", "Expected `object`", "mend it"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_try(text: bytes, because: str, hint: str) -> None:
    with pytest.raises(Unusable) as problem:
        decode(text, Kept, 2, "mend it")
    assert because in str(problem.value.because)
    assert hint in problem.value.hint
