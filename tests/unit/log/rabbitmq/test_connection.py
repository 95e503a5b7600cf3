"""Connections and channels on a real broker."""

from __future__ import annotations

import asyncio
import socket

import pytest
from pika import BasicProperties

from tests.support.free_ports import free_port
from tests.support.rabbitmq import Node
from tests.unit.log.rabbitmq.conftest import Run
from tillstream.log.rabbitmq.connection import Connection, ConnectionLost, address, parameters
from tillstream.log.rabbitmq.messages import Message
from tillstream.log.rabbitmq.streams import Publisher

STREAM = {"x-queue-type": "stream"}


def test_the_address_has_no_credentials() -> None:
    assert address(parameters("amqp://till:secret@broker:5673/shop", "x")) == "amqp://broker:5673/shop"
    assert address(parameters("amqps://till:secret@broker/%2F", "x")) == "amqps://broker:5671//"


@pytest.mark.parametrize(
    ("user", "vhost", "why"),
    [("nobody", "/", "refuses the user or the password"), ("guest", "nowhere", "vhost nowhere not found")],
)
def test_a_refused_connection_has_the_brokers_reason(node: Node, user: str, vhost: str, why: str) -> None:
    with pytest.raises(ConnectionLost, match=why):
        asyncio.run(Connection.open(parameters(node.url(vhost, user), "test")))


def test_a_port_without_a_listener_is_named_as_the_reason() -> None:
    url = f"amqp://127.0.0.1:{free_port()}"
    with pytest.raises(ConnectionLost, match="nothing listens there"):
        asyncio.run(Connection.open(parameters(url, "test")))


def test_connecting_to_a_silent_peer_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConnectionLost):
            asyncio.run(Connection.open(parameters(url, "test")))


def test_a_missing_queue_does_not_end_the_connection(on_broker: Run) -> None:
    async def work(connection: Connection) -> tuple[bool, bool]:
        missing = await (await connection.channel()).has_queue("s")
        channel = await connection.channel()
        await channel.request(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
        return missing, await channel.has_queue("s")

    assert on_broker(work) == (False, True)


def test_a_refused_request_ends_the_connection_with_the_reason(on_broker: Run) -> None:
    async def work(connection: Connection) -> str:
        channel = await connection.channel()
        with pytest.raises(ConnectionLost, match="unknown exchange type"):
            await channel.request(channel.raw.exchange_declare, "x", "no-such-kind")
        reason = await connection.ended
        with pytest.raises(ConnectionLost):
            await connection.channel()
        return reason

    assert "unknown exchange type" in on_broker(work)


def test_a_consumer_has_received_the_whole_stream_when_it_is_attached(on_broker: Run) -> None:
    async def work(connection: Connection) -> list[bytes]:
        channel = await connection.channel()
        await channel.request(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
        publisher = await Publisher.open(connection)
        await publisher.publish(Message("", "s", BasicProperties(), str(each).encode(), True) for each in range(50))
        seen: list[bytes] = []
        reading = await connection.channel()
        await reading.consume("s", 100, "first", lambda _, __, body: seen.append(body))
        return seen

    assert on_broker(work) == [str(number).encode() for number in range(50)]
