"""Publishing with confirms."""

from __future__ import annotations

import asyncio
import time

import pytest
from pika import BasicProperties

from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.unit.log.rabbitmq.conftest import Run
from tillstream.log.rabbitmq.confirms import WINDOW, ConfirmWindow
from tillstream.log.rabbitmq.connection import Blocked, Connection, Lost, parameters
from tillstream.log.rabbitmq.messages import Message
from tillstream.log.rabbitmq.stream_reader import StreamReader

STREAM = {"x-queue-type": "stream"}


def message(number: int, exchange: str = "", key: str = "s") -> Message:
    return Message(exchange, key, BasicProperties(), str(number).encode(), True)


async def ready(connection: Connection) -> ConfirmWindow:
    channel = await connection.channel()
    await channel.ask(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
    return await ConfirmWindow.open(connection)


def test_more_than_a_window_is_in_order_once_it_is_confirmed(on_broker: Run) -> None:
    count = 2 * WINDOW + 7

    async def work(connection: Connection) -> list[bytes]:
        window = await ready(connection)
        await window.publish(message(number) for number in range(count))
        return [each.body for each in await StreamReader(connection).all("s")]

    assert on_broker(work) == [str(number).encode() for number in range(count)]


def test_what_leads_to_no_queue_is_an_error(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await (await ready(connection)).publish([message(1), message(2, key="nowhere"), message(3)])

    with pytest.raises(Lost, match="leads to no stream: NO_ROUTE"):
        on_broker(work)


def test_an_exchange_that_is_gone_is_an_error(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        await (await ready(connection)).publish([message(1, exchange="gone")])

    with pytest.raises(Lost, match="no exchange 'gone'"):
        on_broker(work)


def test_a_broker_that_confirms_nothing_is_given_up_within_two_seconds(node: Node, vhost: str, impatient: None) -> None:
    proxy = Proxy(node.port)
    proxy.open()

    async def work() -> float:
        connection = await Connection.open(parameters(node.url(vhost, port=proxy.port), "test"))
        window = await ready(connection)
        proxy.partition()
        began = time.monotonic()
        with pytest.raises(Lost, match="confirmed nothing for 1 s"):
            await window.publish([message(1)])
        took = time.monotonic() - began
        proxy.heal()
        connection.end("done")
        await connection.closed
        return took

    try:
        assert asyncio.run(work()) < 2.0
    finally:
        proxy.close()


def test_a_broker_that_says_it_takes_nothing_is_believed(on_broker: Run) -> None:
    async def work(connection: Connection) -> None:
        window = await ready(connection)
        connection.blocked = "low on disk"
        with pytest.raises(Blocked, match="low on disk"):
            await window.publish([message(1)])
        connection.blocked = ""
        await window.publish([message(2)])

    on_broker(work)
