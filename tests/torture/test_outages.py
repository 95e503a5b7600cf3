"""Given receipts under way over RabbitMQ; when the broker goes away in one way or another and comes back; then
ingest says 503 at once and takes up by itself, nothing acknowledged is lost, and nothing counts twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pika
import pytest
from msgspec.structs import replace

from tests.support.ingest import Answer, Ingest, encoded
from tests.support.pipeline import Pipeline
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.waiting import wait_until
from tillstream.clock import SystemClock
from tillstream.errors import LogUnavailable
from tillstream.log.base import Batch
from tillstream.log.rabbit import layout
from tillstream.log.rabbitmq import RabbitLog
from tillstream.settings import Settings
from tillstream.validation import Validator

pytestmark = pytest.mark.torture

AT_ONCE_S = 2.0
"""A second for the answer, and one for what this machine does besides."""

STORES = 12


class Road:
    """Ingest and an engine, each with a log of its own on the broker, and what was acknowledged."""

    def __init__(self, directory: Path, url: str, engine_url: str = "") -> None:
        self.settings = replace(Settings(), rabbitmq_url=url)
        self._directory = directory
        self.ingest = Ingest(directory / "ingest", log=self._log(url, writer=True))
        (directory / "engine").mkdir()
        self.pipeline = Pipeline(directory / "engine", self.settings, log=self._log(engine_url or url, writer=False))
        self.acknowledged: set[str] = set()
        self._number = 0

    def _log(self, url: str, *, writer: bool) -> RabbitLog:
        settings = replace(self.settings, rabbitmq_url=url)
        return RabbitLog(settings, Validator(settings), SystemClock(), writer=writer)

    def post(self) -> Answer:
        """One more receipt, noted once it is acknowledged."""
        self._number += 1
        number = str(self._number)
        answer = self.ingest.post("/receipt", encoded(number, storeID=f"S-{self._number % STORES}"))
        if answer.status == 202:
            self.acknowledged.add(number)
        return answer

    def refused_at_once(self) -> Answer:
        """The answer of the first receipt that is not taken, which comes soon and says when to come again."""

        def refused() -> Answer | None:
            began = time.monotonic()
            answer = self.post()
            assert time.monotonic() - began < AT_ONCE_S
            return answer if answer.status != 202 else None

        answer = wait_until(refused, "ingest refuses")
        assert answer.status == 503
        assert answer.headers["retry-after"]
        return answer

    def taken_again(self) -> None:
        wait_until(lambda: self.post().status == 202, "ingest takes receipts again")

    def counted(self) -> None:
        """The engine has counted what was acknowledged, each once, and nothing that was not sent."""

        def caught_up() -> bool:
            try:
                self.pipeline.drain()
            except LogUnavailable:
                return False
            return self.acknowledged <= self._stored()

        wait_until(caught_up, "the engine has caught up")
        rows = self.pipeline.store.query("SELECT receipt FROM receipts")
        assert len(rows) == len({row["receipt"] for row in rows}), "a receipt counts twice"
        assert self._stored() <= {str(number) for number in range(1, self._number + 1)}
        assert self.pipeline.counter("conflicts") == 0

    def _stored(self) -> set[str]:
        return {row["receipt"] for row in self.pipeline.store.query("SELECT receipt FROM receipts")}

    def close(self) -> None:
        self.ingest.close()
        self.pipeline.close()


Make = Callable[..., Road]


@pytest.fixture
def road(tmp_path: Path, node: Node, impatient: None) -> Iterator[Make]:
    made: list[Road] = []

    def make(*urls: str) -> Road:
        made.append(Road(tmp_path, *urls))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    proxy = Proxy(node.port)
    yield proxy
    proxy.close()


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        yield connection.channel()


def test_a_broker_that_is_absent_at_the_start_is_waited_for(node: Node, vhost: str, proxy: Proxy, road: Make) -> None:
    waiting = road(node.url(vhost, port=proxy.port))
    assert "cannot take records" in waiting.refused_at_once().body.decode()
    ready = waiting.ingest.request("GET", "/health/ready")
    assert ready.status == 503
    assert "nothing listens there" in str(waiting.pipeline.engine.trouble())
    proxy.open()
    waiting.taken_again()
    wait_until(lambda: waiting.ingest.request("GET", "/health/ready").status == 200, "it is ready")
    waiting.counted()


def test_a_network_that_falls_silent_is_noticed_and_comes_back(
    node: Node, vhost: str, proxy: Proxy, road: Make
) -> None:
    proxy.open()
    cut_off = road(node.url(vhost, port=proxy.port))
    cut_off.taken_again()
    cut_off.counted()
    proxy.partition()
    cut_off.refused_at_once()
    with pytest.raises(LogUnavailable):
        cut_off.pipeline.engine.step()
    proxy.heal()
    cut_off.taken_again()
    cut_off.counted()


def test_a_broker_that_is_killed_under_load_loses_and_doubles_nothing(own_node: Node, road: Make) -> None:
    loaded = road(own_node.url())
    loaded.taken_again()
    stop = Event()

    def sell() -> None:
        while not stop.is_set():
            loaded.post()

    selling = Thread(target=sell)
    selling.start()
    try:
        wait_until(lambda: len(loaded.acknowledged) > 50, "receipts are under way")
        assert loaded.pipeline.engine.step() is not None
        own_node.kill()
        loaded_before = len(loaded.acknowledged)
        with pytest.raises(LogUnavailable):
            wait_until(lambda: loaded.pipeline.engine.step() is NotImplemented, "the engine notices")
    finally:
        own_node.start()
    wait_until(lambda: len(loaded.acknowledged) > loaded_before + 50, "receipts go on")
    stop.set()
    selling.join(30)
    loaded.counted()


@pytest.mark.parametrize("number", [layout.ASIDE_NUMBER, layout.ASIDE_NUMBER + 1])
def test_a_stream_that_is_deleted_gets_a_follower(road: Make, broker_url: str, channel: Any, number: int) -> None:
    bereft = road(broker_url)
    for _ in range(30):
        bereft.taken_again()
        bereft.ingest.post("/receipt", b"{")
    bereft.counted()
    position = bereft.pipeline.store.position()
    channel.queue_delete(layout.Generation(number).name)
    for _ in range(30):
        bereft.taken_again()
        wait_until(lambda: bereft.ingest.post("/receipt", b"{").status == 400, "a refusal is kept again")
    bereft.counted()
    wait_until(lambda: not bereft.pipeline.drain() and bereft.pipeline.counter("quarantined") >= 60, "refusals too")
    assert bereft.pipeline.store.position().offsets > position.offsets
    assert bereft.pipeline.log.lag() == 0
    records = bereft.pipeline.store.query("SELECT records FROM state")[0]["records"]
    assert bereft.pipeline.log.count(bereft.pipeline.store.position()) == records


def test_an_exchange_that_is_deleted_comes_back(road: Make, broker_url: str, channel: Any) -> None:
    bereft = road(broker_url)
    bereft.taken_again()
    channel.exchange_delete(layout.RECEIPTS)
    bereft.taken_again()
    bereft.counted()


def test_wrong_credentials_are_told_and_right_ones_are_taken_once_they_are(
    node: Node, vhost: str, road: Make, broker_url: str
) -> None:
    user = f"till-{vhost}"
    refused = road(node.url(vhost, user=user, password="right"), broker_url)
    refused.refused_at_once()
    with pytest.raises(LogUnavailable, match="refuses the user or the password"):
        refused.ingest.log.end()
    node.control("add_user", user, "right")
    node.control("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    refused.taken_again()


def test_a_full_disk_of_the_broker_is_told_and_over_once_it_has_room(node: Node, road: Make, broker_url: str) -> None:
    full = road(broker_url)
    full.taken_again()
    full.counted()
    node.control("set_disk_free_limit", "900GB")
    try:
        full.refused_at_once()
        with pytest.raises(LogUnavailable, match="takes nothing for now"):
            full.ingest.log.append(Batch())
    finally:
        node.control("set_disk_free_limit", "1MB")
    full.taken_again()
    full.counted()
