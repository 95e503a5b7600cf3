"""Crash harness: clients post receipts while a test kills processes. Afterwards the stored receipts are compared with the
acknowledged ones."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.dashboard_api import all_receipts
from tests.support.processes import run_command
from tests.support.role_processes import RoleProcess
from tests.support.waiting import wait_until

CLIENTS = 4
DAY = "2026-03-02"

Identity = tuple[str, str, str]
"""The store, the number and the time of a receipt. The receipts have no till."""

RECOVERY_S = 120.0
"""The time limit for the recovery after a kill."""


class Client(threading.Thread):
    """Posts one or more receipts per request, and records the sent and the acknowledged ones.

    After a failed request it either retries or drops the receipts. It also repeats some acknowledged receipts.
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
            receipts = last if last and self._random.random() < 0.1 else list(self._new_receipts())
            for _ in range(self._random.choice((1, 20, 20))):
                if self._post(receipts) or self.stop.is_set():
                    break
                time.sleep(self._random.uniform(0.01, 0.2))
            last = receipts

    def _new_receipts(self) -> Iterator[dict[str, object]]:
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
        """Send the receipts, and return whether they were acknowledged."""
        identities = [_identity(receipt) for receipt in receipts]
        self.sent.update(identities)
        single = len(receipts) == 1
        body = json.dumps(receipts[0] if single else receipts).encode()
        connection = http.client.HTTPConnection(self._address, timeout=10)
        try:
            connection.request(
                "POST", "/receipt" if single else "/receipts", body, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        if response.status == 503:
            return False
        if response.status != 202 or json.loads(text)["accepted"] != len(receipts):
            self.unexpected.append(f"{response.status} {text[:200]!r}")
            return False
        self.acknowledged.update(identities)
        return True


def _identity(receipt: dict[str, object]) -> Identity:
    return str(receipt["storeID"]), str(receipt["cashReceiptID"]), str(receipt["date"])


Disturbance = Callable[[RoleProcess, RoleProcess, Sequence[Client]], None]
"""A function that kills processes while the clients post receipts."""


def assert_survives(data: Path, seed: str, minimum: int, disturb: Disturbance, *options: str) -> None:
    """Run both roles and the clients, and call `disturb`.

    Afterwards every acknowledged receipt must be stored exactly once, all figures must agree, and more than `minimum`
    receipts must have been acknowledged.
    """
    ingest = RoleProcess("ingest", data, *options)
    engine = RoleProcess("engine", data, *options)
    clients = [Client(number, ingest.url, f"{seed} client {number}") for number in range(CLIENTS)]
    try:
        ingest.wait_until_live(RECOVERY_S)
        engine.wait_until_live(RECOVERY_S)
        for client in clients:
            client.start()
        disturb(ingest, engine, clients)
        ingest.wait_until_live(RECOVERY_S)
        wait_for_progress(clients)
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(30)
        wait_until(engine.has_caught_up, "the engine has caught up", RECOVERY_S)
        _assert_complete(engine, clients, minimum)
        assert (ingest.command.stop(), engine.command.stop()) == (0, 0)
    finally:
        for client in clients:
            client.stop.set()
        ingest.command.close()
        engine.command.close()
    code, output = run_command("check", "--data", data, *options)
    assert code == 0, output


def wait_for_progress(clients: Sequence[Client]) -> None:
    """Wait until each client has another acknowledgement."""
    before = [len(client.acknowledged) for client in clients]
    wait_until(
        lambda: all(len(client.acknowledged) > count for client, count in zip(clients, before, strict=True)),
        "every client has another acknowledgement",
        RECOVERY_S,
    )


def _assert_complete(engine: RoleProcess, clients: Sequence[Client], minimum: int) -> None:
    """Check that the engine has every acknowledged receipt once, and only receipts that were sent."""
    sent = set().union(*(client.sent for client in clients))
    acknowledged = set().union(*(client.acknowledged for client in clients))
    rows = all_receipts(engine.url)
    stored = {(each["store"], each["receipt"], each["sold_local"].replace("T", " ")) for each in rows}
    assert [client.unexpected for client in clients] == [[] for _ in clients]
    assert len(acknowledged) > minimum, "too few receipts were acknowledged"
    assert len(rows) == len(stored) == len({each["key"] for each in rows}), "a receipt is stored twice"
    assert acknowledged <= stored, f"{len(acknowledged - stored)} acknowledged receipts are lost"
    assert stored <= sent, f"{len(stored - sent)} stored receipts were never sent"
