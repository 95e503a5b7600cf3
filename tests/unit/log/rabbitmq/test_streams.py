"""Publishing with confirms, looking up messages, and following a stream."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from pika import BasicProperties

from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.unit.log.rabbitmq.conftest import Run
from tillstream.log.rabbitmq.connection import BrokerBlocked, Channel, Connection, ConnectionLost, parameters
from tillstream.log.rabbitmq.messages import Message
from tillstream.log.rabbitmq.streams import (
    FOLLOW_PREFETCH,
    LOOKUP_PREFETCH,
    MAX_UNCONFIRMED,
    Publisher,
    StreamConsumer,
    StreamReader,
)

STREAM = {"x-queue-type": "stream"}


def message(number: int, exchange: str = "", key: str = "s") -> Message:
    return Message(exchange, key, BasicProperties(), str(number).encode(), True)


async def open_publisher(connection: Connection) -> Publisher:
    channel = await connection.channel()
    await channel.request(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
    return await Publisher.open(connection)


async def fill(connection: Connection, count: int) -> StreamReader:
    publisher = await open_publisher(connection)
    await publisher.publish(message(number) for number in range(count))
    return StreamReader(connection)


def test_more_messages_than_the_window_are_published_in_order(on_broker: Run) -> None:
    count = 2 * MAX_UNCONFIRMED + 7

    async def work(connection: Connection) -> list[bytes]:
        reader = await fill(connection, count)
        return [each.body for each in await reader.read_all("s")]

    assert on_broker(work) == [str(number).encode() for number in range(count)]


def test_a_message_that_reaches_no_queue_is_an_error(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await (await open_publisher(connection)).publish([message(1), message(2, key="nowhere"), message(3)])

    with pytest.raises(ConnectionLost, match="leads to no stream: NO_ROUTE"):
        on_broker(work)


def test_publishing_to_a_missing_exchange_is_an_error(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await (await open_publisher(connection)).publish([message(1, exchange="gone")])

    with pytest.raises(ConnectionLost, match="no exchange 'gone'"):
        on_broker(work)


def test_publishing_fails_within_two_seconds_if_the_broker_confirms_nothing(
    node: Node, vhost: str, production_broker_timeouts: None
) -> None:
    proxy = Proxy(node.port)
    proxy.open()

    async def work() -> float:
        connection = await Connection.open(parameters(node.url(vhost, port=proxy.port), "test"))
        publisher = await open_publisher(connection)
        proxy.partition()
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="confirmed nothing for 1 s"):
            await publisher.publish([message(1)])
        took = time.monotonic() - began
        proxy.heal()
        await connection.close("done")
        return took

    try:
        assert asyncio.run(work()) < 2.0
    finally:
        proxy.close()


def test_publishing_fails_while_the_broker_is_blocked_and_works_afterwards(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        publisher = await open_publisher(connection)
        connection.blocked_reason = "low on disk"
        with pytest.raises(BrokerBlocked, match="low on disk"):
            await publisher.publish([message(1)])
        connection.blocked_reason = ""
        await publisher.publish([message(2)])

    on_broker(work)


def test_an_empty_stream_has_no_last_message(on_broker: Run) -> None:
    async def work(connection: Connection) -> object:
        reader = await fill(connection, 0)
        return await reader.read_last("s"), await reader.read_all("s")

    assert on_broker(work) == (None, [])


def test_the_reader_finds_the_last_message_and_all_messages(on_broker: Run) -> None:
    count = 2 * LOOKUP_PREFETCH

    async def work(connection: Connection) -> object:
        reader = await fill(connection, count)
        last = await reader.read_last("s")
        assert last is not None
        return last.offset, last.body, [each.offset for each in await reader.read_all("s")]

    assert on_broker(work) == (count - 1, str(count - 1).encode(), list(range(count)))


def test_reading_the_last_message_is_retried_if_the_broker_skips_it(
    on_broker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = iter([True, True])
    read = StreamReader._read

    async def skipping(reader: StreamReader, stream: str, offset: str | int, *rest: Any, **named: Any) -> Any:
        skips = offset == "last" and next(skipped, False)
        return [] if skips else await read(reader, stream, offset, *rest, **named)

    async def work(connection: Connection) -> object:
        reader = await fill(connection, 3)
        monkeypatch.setattr(StreamReader, "_read", skipping)
        return await reader.read_last("s")

    assert on_broker(work).body == b"2"
    assert next(skipped, None) is None


def test_messages_are_found_by_offset_and_missing_ones_left_out(on_broker: Run) -> None:
    async def work(connection: Connection) -> dict[int, bytes]:
        reader = await fill(connection, 1_000)
        found = await reader.read_at("s", [700, 3, 5, 3, 999, 1_000, 5_000])
        return {offset: each.body for offset, each in found.items()}

    assert on_broker(work) == {3: b"3", 5: b"5", 700: b"700", 999: b"999"}


def test_messages_that_one_consumer_skips_are_read_by_another(on_broker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    skipped = iter([True])
    read = StreamReader._read

    async def skipping(reader: StreamReader, stream: str, offset: str | int, *rest: Any, **named: Any) -> Any:
        return [] if next(skipped, False) else await read(reader, stream, offset, *rest, **named)

    async def work(connection: Connection) -> object:
        reader = await fill(connection, 500)
        monkeypatch.setattr(StreamReader, "_read", skipping)
        return set(await reader.read_at("s", [3, 499]))

    assert on_broker(work) == {3, 499}


def test_a_consumer_continues_where_it_was_and_seeks_back(on_broker: Run) -> None:
    count = FOLLOW_PREFETCH + 500

    async def work(connection: Connection) -> None:
        await fill(connection, count)
        consumer = StreamConsumer(connection)
        seen: list[int] = []
        for _ in range(count):
            await consumer.seek("s", len(seen))
            taken = consumer.pop(300)
            if not taken:
                break
            seen += [each.offset for each in taken]
        assert seen == list(range(count))
        await consumer.seek("s", 7)
        assert [each.offset for each in consumer.pop(2)] == [7, 8]
        await consumer.seek("s", 9)
        assert consumer.pop(1)[0].body == b"9"

    on_broker(work)


def test_a_consumer_at_the_end_sees_new_messages(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await fill(connection, 3)
        consumer = StreamConsumer(connection)
        await consumer.seek("s", 3)
        assert not consumer.ready
        await fill(connection, 2)
        await consumer.seek("s", 3)
        assert [each.offset for each in consumer.pop(10)] == [3, 4]

    on_broker(work)


@pytest.mark.parametrize("skipping", [1, 2])
def test_a_consumer_attaches_again_if_it_skipped_messages(
    on_broker: Run, monkeypatch: pytest.MonkeyPatch, skipping: int
) -> None:
    offsets: list[int] = []
    consume = Channel.consume

    async def consume_late(channel: Channel, stream: str, prefetch: int, offset: int, deliver: Any) -> None:
        offsets.append(offset)
        skipped = skipping + 1 - len(offsets) if len(offsets) <= skipping else 0
        await consume(channel, stream, prefetch, offset + skipped, deliver)

    async def work(connection: Connection) -> None:
        await fill(connection, 5)
        monkeypatch.setattr(Channel, "consume", consume_late)
        consumer = StreamConsumer(connection)
        await consumer.seek("s", 1)
        assert [each.offset for each in consumer.pop(10)] == [1, 2, 3, 4]

    on_broker(work)
    assert offsets == [1] * (skipping + 1)


def test_a_gap_that_two_consumers_find_is_accepted(on_broker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    consume = Channel.consume

    async def consume_late(channel: Channel, stream: str, prefetch: int, offset: int, deliver: Any) -> None:
        await consume(channel, stream, prefetch, max(offset, 3), deliver)

    async def work(connection: Connection) -> None:
        await fill(connection, 5)
        monkeypatch.setattr(Channel, "consume", consume_late)
        consumer = StreamConsumer(connection)
        await consumer.seek("s", 1)
        assert [each.offset for each in consumer.pop(10)] == [3, 4]

    on_broker(work)
