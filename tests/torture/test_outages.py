"""Given receipts under way over RabbitMQ; when the broker goes away in one way or another and comes back; then
ingest says 503 at once and takes up by itself, nothing acknowledged is lost, and nothing counts twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pika
import pytest

from tests.support.dashboard_api import all_receipts
from tests.support.ingest import JSON, encoded
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.role_processes import RoleProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.torture

AT_ONCE_S = 2.0
"""A second for the answer, and one for what this machine does besides."""

STORES = 12


class Road:
    """Ingest and an engine, each a process with a directory of its own, and what was acknowledged."""

    def __init__(self, directory: Path, url: str, engine_url: str = "") -> None:
        self.machines = [
            RoleProcess(role, _config(directory / f"{role}.toml", at), directory / role)
            for role, at in (("ingest", url), ("engine", engine_url or url))
        ]
        self.ingest, self.engine = self.machines
        self.acknowledged: set[str] = set()
        self._number = 0

    def wait_until_live(self) -> None:
        for machine in self.machines:
            machine.wait_until_live()

    def post(self, content: bytes = b"") -> httpx.Response:
        """These bytes; or one more receipt, noted once it is acknowledged."""
        if content:
            return self._send(content)
        self._number += 1
        number = str(self._number)
        answer = self._send(encoded(number, storeID=f"S-{self._number % STORES}"))
        if answer.status_code == 202:
            self.acknowledged.add(number)
        return answer

    def _send(self, content: bytes) -> httpx.Response:
        return httpx.post(f"{self.ingest.url}/receipt", content=content, headers={"content-type": JSON}, timeout=15)

    def refused_at_once(self) -> None:
        """A receipt is not taken, and the answer comes soon and says when to come again."""

        def refused() -> httpx.Response | None:
            began = time.monotonic()
            answer = self.post()
            assert time.monotonic() - began < AT_ONCE_S
            return answer if answer.status_code != 202 else None

        answer = wait_until(refused, "ingest refuses")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0

    def has_readiness(self, ingest: int, engine: int) -> None:
        """Both roles answer with these statuses to the question whether they are ready."""
        expected = [ingest, engine]
        wait_until(lambda: [each.ready().status_code for each in self.machines] == expected, f"readiness {expected}")

    def trouble(self) -> str:
        """Why the engine is not ready; empty while it is."""
        answer = self.engine.ready()
        return "" if answer.status_code == 200 else str(answer.json()["errors"][0]["error"])

    def taken_again(self) -> None:
        wait_until(lambda: self.post().status_code == 202, "ingest takes receipts again")

    def counted(self) -> None:
        """The engine has counted what was acknowledged, each once, and nothing that was not sent."""
        wait_until(self._caught_up, "the engine has caught up")
        stored = self.stored()
        assert len(stored) == len(set(stored)), "a receipt counts twice"
        assert set(stored) <= {str(number) for number in range(1, self._number + 1)}
        assert self.quarantined("conflict") == []

    def _caught_up(self) -> bool:
        answer = self.engine.ready()
        return answer.status_code == 200 and answer.json()["lag"] == 0 and self.acknowledged <= set(self.stored())

    def stored(self) -> list[str]:
        """The numbers of the receipts that the engine has."""
        return [each["receipt"] for each in all_receipts(self.engine.url)]

    def quarantined(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.asked("quarantine", kind=kind, limit=1_000)["entries"]
        return entries

    def asked(self, path: str, **parameters: object) -> Any:
        given = {name: str(value) for name, value in parameters.items()}
        answer = httpx.get(f"{self.engine.url}/api/v1/{path}", params=given, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def close(self) -> None:
        for machine in self.machines:
            machine.command.close()


def _config(path: Path, url: str) -> Path:
    path.write_text(f'log = "rabbitmq"\nrabbitmq_url = "{url}"\n')
    return path


Make = Callable[..., Road]


@pytest.fixture
def road(tmp_path: Path, node: Node) -> Iterator[Make]:
    made: list[Road] = []

    def make(*urls: str) -> Road:
        made.append(Road(tmp_path, *urls))
        made[-1].wait_until_live()
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
    waiting.refused_at_once()
    waiting.has_readiness(503, 503)
    assert waiting.trouble()
    proxy.open()
    waiting.taken_again()
    waiting.has_readiness(200, 200)
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
    cut_off.has_readiness(503, 503)
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
        wait_until(loaded.stored, "the engine takes them")
        own_node.kill()
        loaded_before = len(loaded.acknowledged)
        loaded.has_readiness(503, 503)
        own_node.start()
        wait_until(lambda: len(loaded.acknowledged) > loaded_before + 50, "receipts go on")
    finally:
        stop.set()
        selling.join(30)
    loaded.counted()


@pytest.mark.parametrize("stream", ["tillstream.aside", "tillstream.receipts.0"])
def test_a_stream_that_is_deleted_gets_a_follower(road: Make, broker_url: str, channel: Any, stream: str) -> None:
    bereft = road(broker_url)
    for _ in range(30):
        bereft.taken_again()
        assert bereft.post(b"{").status_code == 400
    bereft.counted()
    before = bereft.asked("check")["records"]
    channel.queue_delete(stream)
    for _ in range(30):
        bereft.taken_again()
        wait_until(lambda: bereft.post(b"{").status_code == 400, "a refusal is kept again")
    bereft.counted()
    wait_until(lambda: len(bereft.quarantined("refused")) >= 60, "refusals too")
    bereft.counted()
    report = bereft.asked("check")
    assert report["differences"] == []
    assert report["records"] >= before + 60
    assert report["records"] == sum(report["counts"].values())


def test_an_exchange_that_is_deleted_comes_back(road: Make, broker_url: str, channel: Any) -> None:
    bereft = road(broker_url)
    bereft.taken_again()
    channel.exchange_delete("receipts")
    bereft.taken_again()
    bereft.counted()


def test_wrong_credentials_are_told_and_right_ones_are_taken_once_they_are(
    node: Node, vhost: str, proxy: Proxy, road: Make
) -> None:
    user, password = f"till-{vhost}", "pain-au-levain"
    refused = road(node.url(vhost, user=user, password=password, port=proxy.port))
    absent = wait_until(refused.trouble, "the engine has no broker")
    proxy.open()
    refused.refused_at_once()
    wait_until(lambda: refused.trouble() not in ("", absent), "the engine has another reason")
    refused.has_readiness(503, 503)
    node.control("add_user", user, password)
    node.control("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    refused.taken_again()
    refused.has_readiness(200, 200)
    assert not any(password in machine.command.output for machine in refused.machines)


def test_a_full_disk_of_the_broker_is_told_and_over_once_it_has_room(node: Node, road: Make, broker_url: str) -> None:
    full = road(broker_url)
    full.taken_again()
    full.counted()
    node.control("set_disk_free_limit", "900GB")
    try:
        full.refused_at_once()
        # The broker is there and lets the engine read: only what would write is refused.
        full.has_readiness(503, 200)
    finally:
        node.control("set_disk_free_limit", "1MB")
    full.taken_again()
    full.counted()
