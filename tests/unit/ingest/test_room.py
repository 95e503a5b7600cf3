"""A budget that never goes over."""

from __future__ import annotations

from tillstream.ingest.room import Room


def test_what_does_not_fit_is_not_taken() -> None:
    room = Room(10)
    assert room.take(7)
    assert not room.take(4)
    assert room.taken_bytes == 7
    assert room.take(3)
    room.give(7)
    assert room.take(7)
