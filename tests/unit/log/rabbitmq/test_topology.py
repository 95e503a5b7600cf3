"""Stream names, the directory of generations and holes, and the engine's progress."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from tillstream.config.settings import Settings
from tillstream.log.base import START, Position
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.topology import Directory, DirectoryEntry, Generation, Progress, offset_of, position_of


def test_a_stream_name_has_the_partition_and_the_offset_it_starts_after() -> None:
    assert Generation(1).name == "tillstream.aside"
    assert Generation(2).name == "tillstream.receipts.0"
    assert Generation(5, 99).name == "tillstream.receipts.3.after-99"


def test_a_generation_converts_between_log_offsets_and_stream_offsets() -> None:
    second = Generation(2, 99)
    assert (second.log_offset(0), second.stream_offset(100)) == (100, 0)
    assert (Generation(2).log_offset(7), Generation(2).stream_offset(7)) == (7, 7)


def test_an_offset_is_in_the_last_generation_that_starts_before_it() -> None:
    directory = Directory()
    directory.add(DirectoryEntry(2, after=9))
    directory.add(DirectoryEntry(2, after=4))
    directory.add(DirectoryEntry(2, after=4))
    first, second, third = Generation(2), Generation(2, 4), Generation(2, 9)
    assert [directory.find(2, offset) for offset in (0, 4, 5, 9, 10, 1_000)] == [
        (first, second),
        (first, second),
        (second, third),
        (second, third),
        (third, None),
        (third, None),
    ]
    assert directory.current(2) == third
    assert directory.find(3, 5) == (Generation(3), None)
    assert directory.partitions == {2}


def test_holes_are_not_counted_as_records() -> None:
    directory = Directory()
    for offset in (7, 3, 3):
        directory.add(DirectoryEntry(2, hole=offset))
    assert [directory.records(2, -1, upto) for upto in (2, 3, 6, 7)] == [3, 3, 6, 6]
    assert directory.records(2, 3, 7) == 3
    assert directory.is_hole(2, 7)
    assert not directory.is_hole(1, 7)
    assert directory.count(Position((4, 9))) == 5 + 10 - 2
    assert directory.count(Position((-1,))) == 0


def test_a_directory_entry_has_a_generation_or_a_hole() -> None:
    for entry, message in (
        (DirectoryEntry(2, after=-1), b'{"stream":2,"after":-1}'),
        (DirectoryEntry(2, hole=7), b'{"stream":2,"hole":7}'),
    ):
        assert msgspec.json.encode(entry) == message
        assert msgspec.json.decode(message, type=DirectoryEntry) == entry


def test_stream_arguments_contain_retention_and_segment_size() -> None:
    settings = replace(Settings(), rabbitmq_segment_bytes=5_000)
    assert topology.stream_arguments(settings) == {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 5_000}
    limited = topology.stream_arguments(replace(settings, rabbitmq_retention_bytes=20_000, rabbitmq_retention_age_s=60))
    assert (limited["x-max-length-bytes"], limited["x-max-age"]) == (20_000, "60s")
    assert limited["x-stream-max-segment-size-bytes"] <= 2_000
    assert list(topology.partitions(replace(settings, rabbitmq_partitions=2))) == [1, 2, 3]


def test_equal_positions_have_one_form() -> None:
    assert position_of([]) == position_of([-1, -1, -1]) == START
    assert position_of([4, -1, -1]) == Position((4,))
    assert position_of([-1, 2]) == Position((-1, 2))


def test_a_partition_outside_the_position_is_unread() -> None:
    assert [offset_of(Position((4, 7)), partition) for partition in (1, 2, 3)] == [4, 7, -1]


def test_the_prepared_position_never_goes_back_and_the_committed_one_may() -> None:
    progress = Progress().advance(Position((4, 1)), committed=False)
    assert (progress.committed, progress.prepared) == (START, Position((4, 1)))
    progress = progress.advance(Position((2, 3, 5)), committed=True)
    assert (progress.committed, progress.prepared) == (Position((2, 3, 5)), Position((4, 3, 5)))
    progress = progress.advance(START, committed=True)
    assert (progress.committed, progress.prepared) == (START, Position((4, 3, 5)))


def test_merged_progress_has_the_greater_prepared_position() -> None:
    one, other = Progress(Position((1,)), Position((1,))), Progress(Position((9,)), Position((0, 7)))
    assert one.merge(other) == Progress(Position((1,)), Position((1, 7)))


def test_encoded_progress_is_decoded_unchanged() -> None:
    progress = Progress(Position((1, -1, 3)), Position((4,)))
    assert Progress.decode(progress.encode()) == progress
    assert progress.encode() == b'{"committed":"1,-1,3","reach":"4"}'


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"committed": "x", "reach": "1"}'])
def test_an_invalid_progress_message_is_refused(text: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        Progress.decode(text)
