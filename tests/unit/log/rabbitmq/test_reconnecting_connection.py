"""A connection that reconnects when the broker comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.waiting import wait_until
from tillstream.errors import LogUnavailable
from tillstream.log.rabbitmq.connection import BrokerBlocked, Connection, ConnectionLost
from tillstream.log.rabbitmq.reconnecting_connection import ReconnectingConnection


async def open_session(connection: Connection) -> Connection:
    """The connection itself serves as the session."""
    return connection


async def channel_number(session: Connection) -> int:
    return int((await session.channel()).raw.channel_number)


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    proxy = Proxy(node.port)
    yield proxy
    proxy.close()


@pytest.fixture
def connection(node: Node, proxy: Proxy) -> Iterator[ReconnectingConnection[Connection]]:
    connection = ReconnectingConnection(node.url(port=proxy.port), "test", open_session)
    yield connection
    connection.close()


def test_a_call_runs_on_the_session(proxy: Proxy, connection: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    assert wait_until(lambda: _try(connection), "it is connected") > 0
    assert connection.user == "guest"


def test_calls_fail_at_once_while_the_broker_is_away_and_work_when_it_is_back(
    proxy: Proxy, connection: ReconnectingConnection[Connection]
) -> None:
    connection.wait_for_first_attempt()
    began = time.monotonic()
    with pytest.raises(LogUnavailable, match=r"could not look at amqp://127\.0\.0\.1:.*: nothing listens there"):
        connection.call("look at", channel_number)
    assert time.monotonic() - began < 0.5
    proxy.open()
    wait_until(lambda: _try(connection), "it is connected")


def test_a_lost_session_is_replaced(proxy: Proxy, connection: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    wait_until(lambda: _try(connection), "it is connected")

    async def lose(_: Connection) -> None:
        raise ConnectionLost("it is gone")

    with pytest.raises(LogUnavailable, match="it is gone"):
        connection.call("look at", lose)
    wait_until(lambda: _try(connection), "it is connected again")


def test_the_session_stays_while_the_broker_is_blocked(
    proxy: Proxy, connection: ReconnectingConnection[Connection]
) -> None:
    proxy.open()
    wait_until(lambda: _try(connection), "it is connected")

    async def current_session(session: Connection) -> Connection:
        return session

    async def block(_: Connection) -> None:
        raise BrokerBlocked("low on disk")

    before = connection.call("look at", current_session)
    with pytest.raises(LogUnavailable, match="low on disk"):
        connection.call("look at", block)
    assert connection.call("look at", current_session) is before


def test_a_call_on_a_closed_connection_fails(connection: ReconnectingConnection[Connection]) -> None:
    connection.close()
    connection.close()
    with pytest.raises(LogUnavailable, match="it was closed"):
        connection.call("look at", channel_number)


def _try(connection: ReconnectingConnection[Connection]) -> int | None:
    try:
        return connection.call("look at", channel_number)
    except LogUnavailable:
        return None
