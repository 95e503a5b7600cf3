"""pika's callbacks as coroutines, on a real broker."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.support.rabbitmq import Node
from tests.support.spare import spare_port
from tests.unit.log.rabbitmq.conftest import Run
from tillstream.log.rabbitmq.connection import Connection, Lost, address, parameters

STREAM = {"x-queue-type": "stream"}


def test_the_address_is_told_without_credentials() -> None:
    assert address(parameters("amqp://till:secret@broker:5673/shop", "x")) == "amqp://broker:5673/shop"
    assert address(parameters("amqps://till:secret@broker/%2F", "x")) == "amqps://broker:5671//"


@pytest.mark.parametrize(
    ("user", "vhost", "why"),
    [("nobody", "/", "refuses the user or the password"), ("guest", "nowhere", "vhost nowhere not found")],
)
def test_why_the_broker_takes_no_connection_is_told(node: Node, user: str, vhost: str, why: str) -> None:
    with pytest.raises(Lost, match=why):
        asyncio.run(Connection.open(parameters(node.url(vhost, user), "test")))


def test_where_nothing_listens_is_told() -> None:
    url = f"amqp://127.0.0.1:{spare_port()}"
    with pytest.raises(Lost, match="nothing listens there"):
        asyncio.run(Connection.open(parameters(url, "test")))


def test_a_peer_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Lost):
            asyncio.run(Connection.open(parameters(url, "test")))


def test_a_missing_queue_is_no_end_of_the_connection(on_broker: Run) -> None:
    async def work(connection: Connection) -> tuple[bool, bool]:
        missing = await (await connection.channel()).has_queue("s")
        channel = await connection.channel()
        await channel.ask(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
        return missing, await channel.has_queue("s")

    assert on_broker(work) == (False, True)


def test_what_the_broker_refuses_ends_the_connection_with_the_reason(on_broker: Run) -> None:
    async def work(connection: Connection) -> str:
        channel = await connection.channel()
        with pytest.raises(Lost, match="unknown exchange type"):
            await channel.ask(channel.raw.exchange_declare, "x", "no-such-kind")
        reason = await connection.over
        with pytest.raises(Lost):
            await connection.channel()
        return reason

    assert "unknown exchange type" in on_broker(work)


def test_a_consumer_has_everything_that_is_there_once_it_is_attached(on_broker: Run) -> None:
    async def work(connection: Connection) -> list[bytes]:
        channel = await connection.channel()
        await channel.ask(channel.raw.confirm_delivery, lambda _: None)
        await channel.ask(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
        for number in range(50):
            channel.raw.basic_publish("", "s", str(number).encode())
        await channel.barrier(1)
        await asyncio.sleep(0.2)
        seen: list[bytes] = []
        reading = await connection.channel()
        await reading.consume("s", 100, "first", lambda _, __, body: seen.append(body))
        return seen

    assert on_broker(work) == [str(number).encode() for number in range(50)]
