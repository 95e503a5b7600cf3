"""Short looks at streams."""

from __future__ import annotations

from typing import Any

import pytest
from pika import BasicProperties

from tests.unit.log.rabbitmq.conftest import Run
from tillstream.log.rabbitmq.confirms import ConfirmWindow
from tillstream.log.rabbitmq.connection import Connection
from tillstream.log.rabbitmq.messages import Message
from tillstream.log.rabbitmq.stream_reader import PREFETCH, StreamReader


async def fill(connection: Connection, count: int) -> StreamReader:
    channel = await connection.channel()
    await channel.ask(channel.raw.queue_declare, "s", durable=True, arguments={"x-queue-type": "stream"})
    window = await ConfirmWindow.open(connection)
    await window.publish(Message("", "s", BasicProperties(), str(each).encode(), True) for each in range(count))
    return StreamReader(connection)


def test_an_empty_stream_has_no_last_message(on_broker: Run) -> None:
    async def work(connection: Connection) -> object:
        peek = await fill(connection, 0)
        return await peek.last("s"), await peek.all("s")

    assert on_broker(work) == (None, [])


def test_the_last_message_and_all_of_them(on_broker: Run) -> None:
    count = 2 * PREFETCH

    async def work(connection: Connection) -> object:
        peek = await fill(connection, count)
        last = await peek.last("s")
        assert last is not None
        return last.offset, last.body, [each.offset for each in await peek.all("s")]

    assert on_broker(work) == (count - 1, str(count - 1).encode(), list(range(count)))


def test_a_last_message_that_the_broker_overlooks_is_looked_for_again(
    on_broker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlooked = iter([True, True])
    read = StreamReader._read

    async def overlooking(peek: StreamReader, stream: str, offset: str | int, *rest: Any) -> None:
        if offset != "last" or not next(overlooked, False):
            await read(peek, stream, offset, *rest)

    async def work(connection: Connection) -> object:
        peek = await fill(connection, 3)
        monkeypatch.setattr(StreamReader, "_read", overlooking)
        return await peek.last("s")

    assert on_broker(work).body == b"2"
    assert next(overlooked, None) is None


def test_messages_are_found_by_their_offsets_and_missing_ones_left_out(on_broker: Run) -> None:
    async def work(connection: Connection) -> dict[int, bytes]:
        peek = await fill(connection, 1_000)
        found = await peek.at("s", [700, 3, 5, 3, 999, 1_000, 5_000])
        return {offset: each.body for offset, each in found.items()}

    assert on_broker(work) == {3: b"3", 5: b"5", 700: b"700", 999: b"999"}


def test_messages_that_one_consumer_overlooks_are_looked_for_by_another(
    on_broker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlooked = iter([True])
    read = StreamReader._read

    async def overlooking(peek: StreamReader, stream: str, offset: str | int, *rest: Any) -> None:
        if not next(overlooked, False):
            await read(peek, stream, offset, *rest)

    async def work(connection: Connection) -> object:
        peek = await fill(connection, 500)
        monkeypatch.setattr(StreamReader, "_read", overlooking)
        return set(await peek.at("s", [3, 499]))

    assert on_broker(work) == {3, 499}
