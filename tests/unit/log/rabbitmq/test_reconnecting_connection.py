"""A connection that is kept, as long as there is a broker."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.waiting import wait_until
from tillstream.errors import LogUnavailable
from tillstream.log.rabbitmq.connection import Blocked, Connection, Lost
from tillstream.log.rabbitmq.reconnecting_connection import ReconnectingConnection


async def begin(connection: Connection) -> Connection:
    return connection


async def number_of_channel(session: Connection) -> int:
    return int((await session.channel()).raw.channel_number)


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    proxy = Proxy(node.port)
    yield proxy
    proxy.close()


@pytest.fixture
def link(node: Node, proxy: Proxy) -> Iterator[ReconnectingConnection[Connection]]:
    link = ReconnectingConnection(node.url(port=proxy.port), "test", begin)
    yield link
    link.close()


def test_a_call_runs_on_the_session(proxy: Proxy, link: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    assert wait_until(lambda: _try(link), "it is connected") > 0
    assert link.user == "guest"


def test_calls_fail_at_once_while_the_broker_is_away_and_work_again_once_it_is_there(
    proxy: Proxy, link: ReconnectingConnection[Connection]
) -> None:
    link.first()
    began = time.monotonic()
    with pytest.raises(LogUnavailable, match=r"could not look at amqp://127\.0\.0\.1:.*: nothing listens there"):
        link.call("look at", number_of_channel)
    assert time.monotonic() - began < 0.5
    proxy.open()
    wait_until(lambda: _try(link), "it is connected")


def test_a_session_that_is_lost_is_made_anew(proxy: Proxy, link: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    wait_until(lambda: _try(link), "it is connected")

    async def lose(_: Connection) -> None:
        raise Lost("it is gone")

    with pytest.raises(LogUnavailable, match="it is gone"):
        link.call("look at", lose)
    wait_until(lambda: _try(link), "it is connected again")


def test_a_broker_that_is_blocked_keeps_its_session(proxy: Proxy, link: ReconnectingConnection[Connection]) -> None:
    proxy.open()
    wait_until(lambda: _try(link), "it is connected")

    async def itself(session: Connection) -> Connection:
        return session

    async def block(_: Connection) -> None:
        raise Blocked("low on disk")

    before = link.call("look at", itself)
    with pytest.raises(LogUnavailable, match="low on disk"):
        link.call("look at", block)
    assert link.call("look at", itself) is before


def test_a_closed_link_says_so(link: ReconnectingConnection[Connection]) -> None:
    link.close()
    link.close()
    with pytest.raises(LogUnavailable, match="it was closed"):
        link.call("look at", number_of_channel)


def _try(link: ReconnectingConnection[Connection]) -> int | None:
    try:
        return link.call("look at", number_of_channel)
    except LogUnavailable:
        return None
