"""Names, generations and holes of streams."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tillstream.config.settings import Settings
from tillstream.log.base import Position
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.topology import Directory, Generation


def test_streams_are_named_after_what_they_hold_and_where_they_begin() -> None:
    assert Generation(1).name == "tillstream.aside"
    assert Generation(2).name == "tillstream.receipts.0"
    assert Generation(5, 99).name == "tillstream.receipts.3.after-99"


def test_a_follower_goes_on_behind_its_offset() -> None:
    follower = Generation(2, 99)
    assert (follower.log_offset(0), follower.stream_offset(100)) == (100, 0)
    assert (Generation(2).log_offset(7), Generation(2).stream_offset(7)) == (7, 7)


def test_an_offset_is_in_the_last_stream_that_begins_before_it() -> None:
    directory = Directory()
    directory.add(topology.followed(Generation(2, 9)))
    directory.add(topology.followed(Generation(2, 4)))
    directory.add(topology.followed(Generation(2, 4)))
    first, second, third = Generation(2), Generation(2, 4), Generation(2, 9)
    assert [directory.of(2, offset) for offset in (0, 4, 5, 9, 10, 1_000)] == [
        (first, second),
        (first, second),
        (second, third),
        (second, third),
        (third, None),
        (third, None),
    ]
    assert directory.current(2) == third
    assert directory.of(3, 5) == (Generation(3), None)
    assert directory.numbers == {2}


def test_holes_are_no_records() -> None:
    directory = Directory()
    for offset in (7, 3, 3):
        directory.add(topology.hole(2, offset))
    assert [directory.holes(2, upto) for upto in (2, 3, 6, 7)] == [0, 1, 1, 2]
    assert directory.is_hole(2, 7)
    assert not directory.is_hole(1, 7)
    assert directory.count(Position((4, 9))) == 5 + 10 - 2
    assert directory.count(Position((-1,))) == 0


@pytest.mark.parametrize("text", [b"", b"[]", b'{"stream": "x"}'])
def test_an_entry_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's
        Directory().add(text)


def test_retention_and_segments_are_the_streams_arguments() -> None:
    settings = replace(Settings(), rabbitmq_segment_bytes=5_000)
    assert topology.stream_arguments(settings) == {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 5_000}
    kept = topology.stream_arguments(replace(settings, rabbitmq_retention_bytes=20_000, rabbitmq_retention_age_s=60))
    assert (kept["x-max-length-bytes"], kept["x-max-age"]) == (20_000, "60s")
    assert kept["x-stream-max-segment-size-bytes"] <= 2_000
    assert list(topology.numbers(replace(settings, rabbitmq_partitions=2))) == [1, 2, 3]
