"""Outages of RabbitMQ. During an outage, ingest quickly answers 503. Afterwards both roles recover, and every acknowledged
receipt counts once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.support.dashboard_api import all_receipts
from tests.support.ingest import JSON, encoded
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node, amqp_channel
from tests.support.role_processes import RoleProcess
from tests.support.waiting import wait_until

pytestmark = pytest.mark.torture

ANSWER_LIMIT_S = 2.0
"""The maximum response time. One second of it is a reserve for slow machines."""

STORES = 12


class System:
    """Ingest and an engine as processes with separate data directories, and the acknowledged receipts."""

    def __init__(self, directory: Path, url: str, engine_url: str = "") -> None:
        self.roles = [
            RoleProcess(role, directory / role, "--config", _config(directory / f"{role}.toml", at))
            for role, at in (("ingest", url), ("engine", engine_url or url))
        ]
        self.ingest, self.engine = self.roles
        self.acknowledged: set[str] = set()
        self._number = 0

    def wait_until_live(self) -> None:
        for role in self.roles:
            role.wait_until_live()

    def post(self, content: bytes = b"") -> httpx.Response:
        """Post these bytes, or else a new receipt, and record it if it is acknowledged."""
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

    def assert_rejected_quickly(self) -> None:
        """Wait until a receipt is rejected with 503 and `Retry-After`. Every answer must come quickly."""

        def rejected() -> httpx.Response | None:
            began = time.monotonic()
            answer = self.post()
            assert time.monotonic() - began < ANSWER_LIMIT_S
            return answer if answer.status_code != 202 else None

        answer = wait_until(rejected, "ingest rejects receipts")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0

    def wait_for_readiness(self, ingest: int, engine: int) -> None:
        """Wait until the readiness checks of both roles return these statuses."""
        expected = [ingest, engine]
        wait_until(lambda: [each.ready().status_code for each in self.roles] == expected, f"readiness {expected}")

    def engine_error(self) -> str:
        """The reason why the engine is not ready, or an empty text if it is ready."""
        answer = self.engine.ready()
        return "" if answer.status_code == 200 else str(answer.json()["errors"][0]["error"])

    def wait_until_accepted(self) -> None:
        wait_until(lambda: self.post().status_code == 202, "ingest accepts receipts again")

    def assert_counted_once(self) -> None:
        """Wait until the engine has every acknowledged receipt. Then check that no receipt is stored twice or was not sent."""
        wait_until(self._caught_up, "the engine has caught up")
        stored = self.stored()
        assert len(stored) == len(set(stored)), "a receipt counts twice"
        assert set(stored) <= {str(number) for number in range(1, self._number + 1)}
        assert self.quarantined("conflict") == []

    def _caught_up(self) -> bool:
        return self.engine.has_caught_up() and self.acknowledged <= set(self.stored())

    def stored(self) -> list[str]:
        """The numbers of the receipts in the engine's database."""
        return [each["receipt"] for each in all_receipts(self.engine.url)]

    def quarantined(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.query("quarantine", kind=kind, limit=1_000)["entries"]
        return entries

    def query(self, path: str, **parameters: object) -> Any:
        query = {name: str(value) for name, value in parameters.items()}
        answer = httpx.get(f"{self.engine.url}/api/v1/{path}", params=query, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def close(self) -> None:
        for role in self.roles:
            role.command.close()


def _config(path: Path, url: str) -> Path:
    path.write_text(f'log = "rabbitmq"\nrabbitmq_url = "{url}"\n')
    return path


StartSystem = Callable[..., System]


@pytest.fixture
def start_system(tmp_path: Path, node: Node) -> Iterator[StartSystem]:
    made: list[System] = []

    def make(*urls: str) -> System:
        made.append(System(tmp_path, *urls))
        made[-1].wait_until_live()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    with amqp_channel(broker_url) as channel:
        yield channel


def test_both_roles_wait_for_a_broker_that_starts_later(
    node: Node, vhost: str, proxy: Proxy, start_system: StartSystem
) -> None:
    system = start_system(node.url(vhost, port=proxy.port))
    system.assert_rejected_quickly()
    system.wait_for_readiness(503, 503)
    assert system.engine_error()
    proxy.open()
    system.wait_until_accepted()
    system.wait_for_readiness(200, 200)
    system.assert_counted_once()


def test_given_a_network_partition_when_it_heals_then_receipts_are_accepted_again(
    node: Node, vhost: str, proxy: Proxy, start_system: StartSystem
) -> None:
    proxy.open()
    system = start_system(node.url(vhost, port=proxy.port))
    system.wait_until_accepted()
    system.assert_counted_once()
    proxy.partition()
    system.assert_rejected_quickly()
    system.wait_for_readiness(503, 503)
    proxy.heal()
    system.wait_until_accepted()
    system.assert_counted_once()


def test_given_load_when_the_broker_is_killed_then_receipts_are_neither_lost_nor_counted_twice(
    own_node: Node, start_system: StartSystem
) -> None:
    system = start_system(own_node.url())
    system.wait_until_accepted()
    stop = Event()

    def sell() -> None:
        while not stop.is_set():
            system.post()

    selling = Thread(target=sell)
    selling.start()
    try:
        wait_until(lambda: len(system.acknowledged) > 50, "receipts are acknowledged")
        wait_until(system.stored, "the engine reads them")
        own_node.kill()
        acknowledged_before = len(system.acknowledged)
        system.wait_for_readiness(503, 503)
        own_node.start()
        wait_until(lambda: len(system.acknowledged) > acknowledged_before + 50, "receipts are acknowledged again")
    finally:
        stop.set()
        selling.join(30)
    system.assert_counted_once()


@pytest.mark.parametrize("stream", ["tillstream.aside", "tillstream.receipts.0"])
def test_a_deleted_stream_is_declared_again(
    start_system: StartSystem, broker_url: str, channel: Any, stream: str
) -> None:
    system = start_system(broker_url)
    for _ in range(30):
        system.wait_until_accepted()
        assert system.post(b"{").status_code == 400
    system.assert_counted_once()
    before = system.query("check")["records"]
    channel.queue_delete(stream)
    for _ in range(30):
        system.wait_until_accepted()
        wait_until(lambda: system.post(b"{").status_code == 400, "a rejected body is stored again")
    system.assert_counted_once()
    wait_until(lambda: len(system.quarantined("refused")) >= 60, "the rejected bodies are stored")
    system.assert_counted_once()
    report = system.query("check")
    assert report["differences"] == []
    assert report["records"] >= before + 60
    assert report["records"] == sum(report["counts"].values())


def test_a_deleted_exchange_is_declared_again(start_system: StartSystem, broker_url: str, channel: Any) -> None:
    system = start_system(broker_url)
    system.wait_until_accepted()
    channel.exchange_delete("receipts")
    system.wait_until_accepted()
    system.assert_counted_once()


def test_given_unknown_credentials_when_the_broker_accepts_them_later_then_both_roles_recover(
    node: Node, vhost: str, proxy: Proxy, start_system: StartSystem
) -> None:
    user, password = f"till-{vhost}", "pain-au-levain"
    system = start_system(node.url(vhost, user=user, password=password, port=proxy.port))
    unreachable = wait_until(system.engine_error, "the engine reports that the broker is unreachable")
    proxy.open()
    system.assert_rejected_quickly()
    wait_until(lambda: system.engine_error() not in ("", unreachable), "the engine reports another error")
    system.wait_for_readiness(503, 503)
    node.control("add_user", user, password)
    node.control("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    system.wait_until_accepted()
    system.wait_for_readiness(200, 200)
    assert not any(password in role.command.output for role in system.roles)


def test_given_a_full_broker_disk_when_space_is_freed_then_receipts_are_accepted_again(
    node: Node, start_system: StartSystem, broker_url: str
) -> None:
    system = start_system(broker_url)
    system.wait_until_accepted()
    system.assert_counted_once()
    node.control("set_disk_free_limit", "900GB")
    try:
        system.assert_rejected_quickly()
        # The broker still lets the engine read. It rejects only writes.
        system.wait_for_readiness(503, 200)
    finally:
        node.control("set_disk_free_limit", "1MB")
    system.wait_until_accepted()
    system.assert_counted_once()
