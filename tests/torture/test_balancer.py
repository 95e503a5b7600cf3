"""Two ingests and an engine behind HAProxy, with RabbitMQ and separate data directories. Every acknowledged receipt counts
once, and tills get a quick answer, even if a role or the broker fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from tests.support import balancer as haproxy
from tests.support.balancer import Balancer, balancer, own_answer
from tests.support.certificate import certificate
from tests.support.ingest import Connection, accepted_receipts, head
from tests.support.processes import run_command
from tests.support.proxy import Proxy
from tests.support.rabbitmq import Node
from tests.support.receipts import body
from tests.support.requirements import skip_or_fail
from tests.support.role_processes import RoleProcess, running_roles
from tests.support.settings import default_settings
from tests.support.waiting import wait_until

pytestmark = pytest.mark.torture

DAY = "2026-11-23"
TILLS = 4


@dataclass(frozen=True)
class Site:
    """The roles behind the balancer. They connect to the broker through a proxy."""

    config: Path
    proxy: Proxy
    first: RoleProcess
    second: RoleProcess
    engine: RoleProcess
    front: Balancer

    @property
    def roles(self) -> tuple[RoleProcess, ...]:
        return self.first, self.second, self.engine

    def readiness(self) -> set[int]:
        """The set of statuses of the roles' readiness checks."""
        return {role.ready().status_code for role in self.roles}

    def post(self, number: int, store: str = "12") -> httpx.Response:
        return httpx.post(f"{self.front.receipts}/receipt", content=receipt(number, store), timeout=15)

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.front.dashboard}/api/v1/summary", params={"day": DAY}).json()
        return found


def receipt(number: int, store: str = "12", till: int = 1) -> bytes:
    return json.dumps(body(storeID=store, terminalID=str(till), cashReceiptID=str(number))).encode()


@pytest.fixture(scope="module")
def site(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    skip_or_fail(haproxy.missing())
    folder = tmp_path_factory.mktemp("site")
    proxy = Proxy(node.port)
    config = folder / "tillstream.toml"
    config.write_text(f'log = "rabbitmq"\nrabbitmq_url = "{node.url(node.fresh_vhost(), port=proxy.port)}"\n')
    with (
        running_roles(folder, config, "ingest", "ingest", "engine") as (first, second, engine),
        balancer((first.address, second.address), engine.address) as front,
    ):
        found = Site(config, proxy, first, second, engine, front)
        # The roles start without the broker and connect as soon as it is reachable.
        assert found.readiness() == {503}
        proxy.open()
        wait_until(lambda: found.readiness() == {200}, "all are ready")
        yield found
    proxy.close()


class Tills:
    """The tills of a store, which sell until the block ends. Each till repeats a receipt until it is acknowledged."""

    def __init__(self, site: Site, store: str) -> None:
        self._site = site
        self._store = store
        self._stop = Event()
        self._threads = [Thread(target=self._sell, args=(each,), daemon=True) for each in range(TILLS)]
        self.acknowledged: list[str] = []
        self.other_answers: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _sell(self, till: int) -> None:
        number = 0
        with httpx.Client(base_url=self._site.front.receipts, timeout=15) as client:
            while not self._stop.is_set():
                number += 1
                self._send(client, receipt(number, self._store, till))

    def _send(self, client: httpx.Client, content: bytes) -> None:
        while True:
            try:
                answer = client.post("/receipt", content=content)
            except httpx.HTTPError as error:
                self.other_answers.append(repr(error))
                continue
            if answer.status_code == 202:
                self.acknowledged.append(answer.json()["receiptKey"])
                return
            self.other_answers.append(f"{answer.status_code} {answer.text}")
            self._stop.wait(0.05)


def test_receipts_count_once_whichever_ingest_accepts_them(site: Site) -> None:
    with Tills(site, "12") as tills:
        wait_until(
            lambda: min(accepted_receipts(site.first.url), accepted_receipts(site.second.url)) > 20,
            "both accept receipts",
        )
    # On a slow machine both ingests may fail a readiness check. The balancer then answers 503 itself.
    assert {answer[:4] for answer in tills.other_answers} <= {"503 "}
    sold = set(tills.acknowledged)
    assert len(sold) == len(tills.acknowledged)
    assert_counted(site, sold, store="12")
    assert site.summary()["duplicates"] == 0


def test_given_no_broker_then_no_role_is_ready_and_the_balancer_rejects_receipts(site: Site) -> None:
    assert site.readiness() == {200}
    site.proxy.partition()
    try:
        wait_until(lambda: site.readiness() == {503}, "no role is ready")
        wait_until(lambda: site.post(1, "13").json() == own_answer(503), "the balancer answers itself")
        rejected = site.post(1, "13")
        assert (rejected.status_code, rejected.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{site.front.receipts}/health/ready").status_code == 503
        page = httpx.get(f"{site.front.dashboard}/api/v1/summary", params={"day": DAY})
        assert page.status_code == 200, "the figures are still shown"
    finally:
        site.proxy.heal()
    wait_until(lambda: site.post(1, "13").status_code == 202, "receipts are accepted again")
    assert_counted(site, {site.post(1, "13").json()["receiptKey"]}, store="13")


def test_given_load_when_an_ingest_is_killed_then_the_other_accepts_everything(site: Site) -> None:
    wait_until(lambda: site.readiness() == {200}, "all are ready")
    with Tills(site, "14") as tills:
        before = accepted_receipts(site.second.url)
        wait_until(lambda: accepted_receipts(site.second.url) > before + 50, "tills sell")
        site.first.kill()
        before = accepted_receipts(site.second.url)
        wait_until(lambda: accepted_receipts(site.second.url) > before + 100, "the other ingest accepts receipts")
        site.first.restart()
        site.first.wait_until_live()
        wait_until(lambda: accepted_receipts(site.first.url) > 20, "the first accepts receipts again")
    # Only the requests in flight during the kill may fail or get an answer of the balancer.
    assert len(tills.other_answers) <= TILLS, tills.other_answers
    assert all(answer.startswith(("RemoteProtocolError", "502")) for answer in tills.other_answers), tills.other_answers
    assert_counted(site, set(tills.acknowledged), store="14")
    code, output = run_command("check", "--config", site.config, "--data", site.engine.data)
    assert code == 0, output


def test_the_balancer_rejects_a_body_over_the_limit(site: Site) -> None:
    before = accepted_receipts(site.first.url), accepted_receipts(site.second.url)
    connection = Connection(int(site.front.receipts.rpartition(":")[2]))
    connection.send(head(content_length=default_settings()["body_limit_bytes"] + 1))
    answer = connection.answer()
    connection.close()
    assert (answer.status, answer.json) == (413, own_answer(413))
    assert before == (accepted_receipts(site.first.url), accepted_receipts(site.second.url))


def test_the_balancer_forwards_events_of_the_live_feed(site: Site) -> None:
    with httpx.stream("GET", f"{site.front.dashboard}/api/v1/live", timeout=15) as feed:
        events = (line for line in feed.iter_lines() if line.startswith("id:"))
        first = next(events)
        site.post(1, "15")
        assert next(events) > first


def test_given_https_then_the_balancer_forwards_the_scheme_and_the_client_address(tmp_path: Path) -> None:
    skip_or_fail(haproxy.missing())
    own = certificate(tmp_path)
    pem = tmp_path / "certificate-and-key.pem"
    pem.write_text(own.certificate.read_text() + own.key.read_text())
    with header_echo() as echo, balancer((echo, echo), echo, tls=str(pem)) as front:

        def forwarded() -> dict[str, str]:
            forged = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
            answer = httpx.get(f"{front.dashboard}/", headers=forged, verify=own.trusted)
            found: dict[str, str] = answer.json() if answer.status_code == 200 else {}
            return found

        headers = wait_until(forwarded, "the balancer forwards requests")
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-for"].rpartition(",")[2].strip() == "127.0.0.1"


@contextmanager
def header_echo() -> Iterator[str]:
    """The address of a server that returns the request headers as JSON."""

    class HeaderEcho(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = json.dumps({name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers})
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), HeaderEcho) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def assert_counted(site: Site, keys: set[str], *, store: str) -> None:
    """Wait until the number of receipts of the store is the number of keys."""

    def counted() -> bool:
        params = {"day": DAY, "store": store}
        rows = httpx.get(f"{site.front.dashboard}/api/v1/metrics/sales_by_store", params=params).json()["rows"]
        return [row["receipts"] for row in rows] == [len(keys)]

    wait_until(counted, f"{len(keys)} receipts of store {store} are counted")
