"""Frames give back what was put into them, and never take other bytes for a frame that holds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillstream.log.frame import Frame, FrameError

items = st.lists(st.binary(max_size=40), max_size=30)


@given(items)
def test_a_packed_frame_gives_back_its_items(given_items: list[bytes]) -> None:
    frame = Frame.unpack(Frame.of(given_items).pack())
    assert list(frame) == given_items
    assert len(frame) == len(given_items)


@given(items.filter(lambda given_items: any(given_items)), st.data())
def test_a_frame_cut_short_is_none(given_items: list[bytes], data: st.DataObject) -> None:
    packed = Frame.of(given_items).pack()
    with pytest.raises(FrameError):
        Frame.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))])


@given(items, st.binary(min_size=1, max_size=5))
def test_a_frame_with_bytes_behind_it_is_none(given_items: list[bytes], more: bytes) -> None:
    with pytest.raises(FrameError):
        Frame.unpack(Frame.of(given_items).pack() + more)
