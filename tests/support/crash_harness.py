"""Receipts under way while processes are killed: roles that come back, clients that don't give up, and the recount."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.dashboard_api import all_receipts
from tests.support.free_ports import free_port
from tests.support.processes import Command, run_command
from tests.support.waiting import wait_until

CLIENTS = 4
DAY = "2026-03-02"

Identity = tuple[str, str, str]
"""What makes a receipt one of its own, since no till is named: its store, its number, and when it was sold."""

BACK_S = 120.0
"""How long it may take until all goes on after a kill."""


class Role:
    """One role that is started anew whenever it was killed."""

    def __init__(self, name: str, data: Path, port_option: str, *options: str) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = (name, "--data", data, port_option, self.port, *options)
        self.command = Command(*self._arguments)

    def wait_until_live(self) -> None:
        wait_until(lambda: httpx.get(f"{self.url}/health/live").status_code == 200, f"{self.name} serves", BACK_S)

    def kill(self) -> None:
        self.command.process.send_signal(signal.SIGKILL)
        code = self.command.wait()
        assert code == -signal.SIGKILL, f"{self.name} ended by itself:\n{self.command.output}"
        self.command.close()
        self.command = Command(*self._arguments)


class Client(threading.Thread):
    """Posts receipts, one or many at a time, and notes what was sent and what was acknowledged.

    What got no answer is sent again as it was, or given up, as chance decides; some of what was
    acknowledged is sent again too.
    """

    def __init__(self, number: int, url: str, seed: str) -> None:
        super().__init__(name=f"client {number}")
        self.sent: set[Identity] = set()
        self.acknowledged: set[Identity] = set()
        self.unexpected: list[str] = []
        self.stop = threading.Event()
        self._number = number
        self._address = urlsplit(url).netloc
        self._random = random.Random(seed)
        self._issued = 0

    def run(self) -> None:
        last: list[dict[str, object]] = []
        while not self.stop.is_set():
            receipts = last if last and self._random.random() < 0.1 else list(self._print())
            for _ in range(self._random.choice((1, 20, 20))):
                if self._post(receipts) or self.stop.is_set():
                    break
                time.sleep(self._random.uniform(0.01, 0.2))
            last = receipts

    def _print(self) -> Iterator[dict[str, object]]:
        for _ in range(self._random.choice((1, 1, 1, 1, 20, 200))):
            self._issued += 1
            cents = self._random.randrange(1, 100_00)
            yield {
                "cashReceiptID": str(self._issued),
                "storeID": str(self._number),
                "date": f"{DAY} {self._issued // 3600 % 24:02}:{self._issued // 60 % 60:02}:{self._issued % 60:02}",
                "documentTotal": {"grossTotal": cents / 100},
                "settlements": [{"settlementAmount": cents / 100, "paymentMechanism": "CB"}],
            }

    def _post(self, receipts: Sequence[dict[str, object]]) -> bool:
        """Send them; True once they are acknowledged."""
        identities = [_identity(receipt) for receipt in receipts]
        self.sent.update(identities)
        one = len(receipts) == 1
        body = json.dumps(receipts[0] if one else receipts).encode()
        connection = http.client.HTTPConnection(self._address, timeout=10)
        try:
            connection.request("POST", "/receipt" if one else "/receipts", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if answer.status == 503:
            return False
        if answer.status != 202 or json.loads(told)["accepted"] != len(receipts):
            self.unexpected.append(f"{answer.status} {told[:200]!r}")
            return False
        self.acknowledged.update(identities)
        return True


def _identity(receipt: dict[str, object]) -> Identity:
    return str(receipt["storeID"]), str(receipt["cashReceiptID"]), str(receipt["date"])


Disturbance = Callable[[Role, Role, Sequence[Client]], None]
"""What ingest, the engine and the clients have to go through, once they run."""


def assert_survives(data: Path, seed: str, least: int, disturb: Disturbance, *options: str) -> None:
    """Both roles with these options and clients at work; once the torment is over every figure agrees, and what was
    acknowledged, more than `least` receipts, is there once."""
    ingest = Role("ingest", data, "--ingest-port", *options)
    engine = Role("engine", data, "--dashboard-port", *options)
    clients = [Client(number, ingest.url, f"{seed} client {number}") for number in range(CLIENTS)]
    try:
        ingest.wait_until_live()
        engine.wait_until_live()
        for client in clients:
            client.start()
        disturb(ingest, engine, clients)
        ingest.wait_until_live()
        # The last stretch is undisturbed, so that at least something is acknowledged for good.
        wait_for_progress(clients)
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(30)
        wait_until(lambda: _caught_up(engine), "the engine has caught up", BACK_S)
        _assert_whole(engine, clients, least)
        assert (ingest.command.stop(), engine.command.stop()) == (0, 0)
    finally:
        for client in clients:
            client.stop.set()
        ingest.command.close()
        engine.command.close()
    code, said = run_command("check", "--data", data, *options)
    assert code == 0, said


def wait_for_progress(clients: Sequence[Client]) -> None:
    """Wait until something is acknowledged anew."""
    for client in clients:
        before = len(client.acknowledged)
        wait_until(lambda client=client, before=before: len(client.acknowledged) > before, "receipts go on", BACK_S)  # type: ignore[misc]


def _caught_up(engine: Role) -> bool:
    answer = httpx.get(f"{engine.url}/health/ready")
    return answer.status_code == 200 and answer.json()["lag"] == 0


def _assert_whole(engine: Role, clients: Sequence[Client], least: int) -> None:
    """What the engine has is what was acknowledged, more than `least` receipts, and nothing that was not sent."""
    sent = set().union(*(client.sent for client in clients))
    acknowledged = set().union(*(client.acknowledged for client in clients))
    listed = all_receipts(engine.url)
    stored = {(each["store"], each["receipt"], each["sold_local"].replace("T", " ")) for each in listed}
    assert [client.unexpected for client in clients] == [[] for _ in clients]
    assert len(acknowledged) > least, "hardly anything was acknowledged"
    assert len(listed) == len(stored) == len({each["key"] for each in listed}), "a receipt counts twice"
    assert acknowledged <= stored, f"{len(acknowledged - stored)} acknowledged receipts are lost"
    assert stored <= sent, f"{len(stored - sent)} receipts are invented"
