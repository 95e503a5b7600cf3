"""How the engine's progress is told and put together."""

from __future__ import annotations

import pytest

from tillstream.log.base import START, Position
from tillstream.log.rabbitmq.progress import Progress, offset_of, position_of


def test_a_position_is_written_in_one_way() -> None:
    assert position_of([]) == position_of([-1, -1, -1]) == START
    assert position_of([4, -1, -1]) == Position((4,))
    assert position_of([-1, 2]) == Position((-1, 2))


def test_a_stream_that_a_position_does_not_name_was_not_read() -> None:
    assert [offset_of(Position((4, 7)), number) for number in (1, 2, 3)] == [4, 7, -1]


def test_the_reach_never_sinks_and_what_is_committed_may() -> None:
    progress = Progress().told(Position((4, 1)), committed=False)
    assert (progress.committed, progress.reach) == (START, Position((4, 1)))
    progress = progress.told(Position((2, 3, 5)), committed=True)
    assert (progress.committed, progress.reach) == (Position((2, 3, 5)), Position((4, 3, 5)))
    progress = progress.told(START, committed=True)
    assert (progress.committed, progress.reach) == (START, Position((4, 3, 5)))


def test_what_another_knows_of_the_reach_counts() -> None:
    one, other = Progress(Position((1,)), Position((1,))), Progress(Position((9,)), Position((0, 7)))
    assert one.beside(other) == Progress(Position((1,)), Position((1, 7)))


def test_a_message_says_it_whole() -> None:
    progress = Progress(Position((1, -1, 3)), Position((4,)))
    assert Progress.decode(progress.encode()) == progress


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"committed": "x", "reach": "1"}'])
def test_another_message_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of msgspec, of int, or of its own
        Progress.decode(text)
