"""A reader's place in a stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.log.rabbitmq.conftest import Run
from tests.unit.log.rabbitmq.test_stream_reader import fill
from tillstream.log.rabbitmq.connection import Channel, Connection
from tillstream.log.rabbitmq.consumer import PREFETCH, StreamConsumer


def test_it_goes_on_where_it_was_and_back_where_it_is_asked_to(on_broker: Run) -> None:
    count = PREFETCH + 500

    async def work(connection: Connection) -> None:
        await fill(connection, count)
        tail = StreamConsumer(connection)
        seen: list[int] = []
        for _ in range(count):
            await tail.seek("s", len(seen))
            taken = tail.take(300)
            if not taken:
                break
            seen += [each.offset for each in taken]
        assert seen == list(range(count))
        await tail.seek("s", 7)
        assert [each.offset for each in tail.take(2)] == [7, 8]
        await tail.seek("s", 9)
        assert tail.take(1)[0].body == b"9"

    on_broker(work)


def test_it_sees_what_came_since(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await fill(connection, 3)
        tail = StreamConsumer(connection)
        await tail.seek("s", 3)
        assert not tail.ready
        await fill(connection, 2)
        await tail.seek("s", 3)
        assert [each.offset for each in tail.take(10)] == [3, 4]

    on_broker(work)


@pytest.mark.parametrize("overlooked", [1, 2])
def test_a_consumer_that_lands_behind_what_there_is_is_not_believed(
    on_broker: Run, monkeypatch: pytest.MonkeyPatch, overlooked: int
) -> None:
    places: list[int] = []
    consume = Channel.consume

    async def overlooking(channel: Channel, stream: str, prefetch: int, offset: int, deliver: Any) -> None:
        places.append(offset)
        skipped = overlooked + 1 - len(places) if len(places) <= overlooked else 0
        await consume(channel, stream, prefetch, offset + skipped, deliver)

    async def work(connection: Connection) -> None:
        await fill(connection, 5)
        monkeypatch.setattr(Channel, "consume", overlooking)
        tail = StreamConsumer(connection)
        await tail.seek("s", 1)
        assert [each.offset for each in tail.take(10)] == [1, 2, 3, 4]

    on_broker(work)
    assert places == [1] * (overlooked + 1)


def test_what_is_missing_for_two_consumers_alike_is_missing(on_broker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    consume = Channel.consume

    async def behind(channel: Channel, stream: str, prefetch: int, offset: int, deliver: Any) -> None:
        await consume(channel, stream, prefetch, max(offset, 3), deliver)

    async def work(connection: Connection) -> None:
        await fill(connection, 5)
        monkeypatch.setattr(Channel, "consume", behind)
        tail = StreamConsumer(connection)
        await tail.seek("s", 1)
        assert [each.offset for each in tail.take(10)] == [3, 4]

    on_broker(work)
