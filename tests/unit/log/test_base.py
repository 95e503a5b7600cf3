"""Examples of frames; tests/property/test_frame.py has their general properties."""

from __future__ import annotations

import pytest

from tillstream.log.base import EMPTY, Frame


def test_items_are_found_by_index() -> None:
    frame = Frame.of([b"a", b"", b"b\nc"])
    assert (len(frame), frame[0], frame[1], frame[2]) == (3, b"a", b"", b"b\nc")
    assert frame.data == b"ab\nc"
    assert list(frame.offsets) == [0, 1, 1, 4]


def test_a_packed_frame_is_count_offsets_and_data_in_little_endian() -> None:
    assert Frame.of([b"a", b"bc"]).pack() == b"\x02\0\0\0\x01\0\0\0\x03\0\0\0abc"


def test_an_empty_frame_has_no_items() -> None:
    assert list(EMPTY) == []
    assert list(Frame.unpack(EMPTY.pack())) == []


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"\x01\0\0", "a frame of 3 bytes"),
        (b"\x02\0\0\0\x01\0\0\0", "a frame of 8 bytes"),
        (b"\x01\0\0\0\x05\0\0\0abc", "take 5 bytes, not 3"),
    ],
)
def test_bytes_that_are_not_a_frame_are_refused(packed: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Frame.unpack(packed)
