"""Connections and channels on a real broker, and a connection that reconnects when the broker comes back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from pika import BasicProperties

from tests.support.free_ports import free_port
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.waiting import wait_until
from tests.unit.log.rabbitmq.conftest import Run
from tillstream.errors import LogUnavailable
from tillstream.log.rabbitmq.connection import (
    BrokerBlocked,
    Connection,
    ConnectionLost,
    ReconnectingConnection,
    address,
    parameters,
)
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
        missing = await connection.has_queue("s")
        channel = await connection.channel()
        await channel.request(channel.raw.queue_declare, "s", durable=True, arguments=STREAM)
        return missing, await connection.has_queue("s")

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


async def open_session(connection: Connection) -> Connection:
    """The connection itself serves as the session."""
    return connection


async def channel_number(session: Connection) -> int:
    return int((await session.channel()).raw.channel_number)


@pytest.fixture
def reconnecting(node: Node, proxy: Proxy) -> Iterator[ReconnectingConnection[Connection]]:
    connection = ReconnectingConnection(node.url(port=proxy.port), "test", open_session)
    yield connection
    connection.close()


def test_a_call_runs_on_the_session(proxy: Proxy, reconnecting: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    assert wait_until(lambda: _try(reconnecting), "it is connected") > 0
    assert reconnecting.user == "guest"


def test_calls_fail_at_once_while_the_broker_is_away_and_work_when_it_is_back(
    proxy: Proxy, reconnecting: ReconnectingConnection[Connection]
) -> None:
    began = time.monotonic()
    with pytest.raises(LogUnavailable, match=r"could not look at amqp://127\.0\.0\.1:.*: nothing listens there"):
        reconnecting.call("look at", channel_number)
    assert time.monotonic() - began < 0.5
    proxy.open()
    wait_until(lambda: _try(reconnecting), "it is connected")


def test_a_lost_session_is_replaced(proxy: Proxy, reconnecting: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    wait_until(lambda: _try(reconnecting), "it is connected")

    async def lose(_: Connection) -> None:
        raise ConnectionLost("it is gone")

    with pytest.raises(LogUnavailable, match="it is gone"):
        reconnecting.call("look at", lose)
    wait_until(lambda: _try(reconnecting), "it is connected again")


def test_the_session_stays_while_the_broker_is_blocked(
    proxy: Proxy, reconnecting: ReconnectingConnection[Connection]
) -> None:
    proxy.open()
    wait_until(lambda: _try(reconnecting), "it is connected")

    async def current_session(session: Connection) -> Connection:
        return session

    async def block(_: Connection) -> None:
        raise BrokerBlocked("low on disk")

    before = reconnecting.call("look at", current_session)
    with pytest.raises(LogUnavailable, match="low on disk"):
        reconnecting.call("look at", block)
    assert reconnecting.call("look at", current_session) is before


def test_a_call_on_a_closed_connection_fails(reconnecting: ReconnectingConnection[Connection]) -> None:
    reconnecting.close()
    reconnecting.close()
    with pytest.raises(LogUnavailable, match="it was closed"):
        reconnecting.call("look at", channel_number)


def _try(reconnecting: ReconnectingConnection[Connection]) -> int | None:
    try:
        return reconnecting.call("look at", channel_number)
    except LogUnavailable:
        return None
