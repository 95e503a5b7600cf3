"""Packed frames unpack to the same items, and other bytes are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillstream.log.base import Frame

items = st.lists(st.binary(max_size=40), max_size=30)


@given(items)
def test_a_packed_frame_unpacks_to_its_items(frame_items: list[bytes]) -> None:
    frame = Frame.unpack(Frame.of(frame_items).pack())
    assert list(frame) == frame_items
    assert len(frame) == len(frame_items)


@given(items.filter(lambda frame_items: any(frame_items)), st.data())
def test_a_truncated_frame_is_refused(frame_items: list[bytes], data: st.DataObject) -> None:
    packed = Frame.of(frame_items).pack()
    with pytest.raises(ValueError, match="a frame "):
        Frame.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


@given(items, st.binary(min_size=1, max_size=5))
def test_a_frame_with_trailing_bytes_is_refused(frame_items: list[bytes], more: bytes) -> None:
    with pytest.raises(ValueError, match="a frame "):
        Frame.unpack(Frame.of(frame_items).pack() + more)
