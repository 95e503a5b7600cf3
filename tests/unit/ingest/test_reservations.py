"""The memory budget is never exceeded, and every large body holds a reservation until it is no longer needed."""

from __future__ import annotations

import gzip
import random
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.inprocess.ingest import GatedLog, Ingest, Start
from tests.support.ingest import JSON, NDJSON, WAIT_S, encoded, head
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.http.memory import MemoryBudget, Reservation
from tillstream.ingest import app, handlers
from tillstream.ingest.decoding import DecodeWorker

LARGE = 300_000
"""The size of a body that is counted as soon as its headers are read."""


def test_bytes_beyond_the_budget_are_not_reserved() -> None:
    budget = MemoryBudget(10)
    assert budget.reserve(7)
    assert not budget.reserve(4)
    assert budget.reserved_bytes == 7
    assert budget.reserve(3)
    budget.release(7)
    assert budget.reserve(7)


def test_a_reservation_grows_shrinks_and_is_released_once() -> None:
    budget = MemoryBudget(10)
    with Reservation(budget) as reservation:
        assert reservation.grow(4)
        assert not reservation.grow(7)
        assert (reservation.resize(9), budget.reserved_bytes) == (True, 9)
        assert (reservation.resize(2), budget.reserved_bytes) == (True, 2)
        assert (reservation.resize(11), budget.reserved_bytes) == (False, 2)
        reservation.release()
        assert budget.reserve(10)
    assert budget.reserved_bytes == 10


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[MemoryBudget]:
    """The budgets of the servers that are started."""
    made: list[MemoryBudget] = []

    def make(limit_bytes: int) -> MemoryBudget:
        made.append(MemoryBudget(limit_bytes))
        return made[-1]

    monkeypatch.setattr(app, "MemoryBudget", make)
    return made


class GatedWorker:
    """A decode worker whose work waits until the gate is open."""

    def __init__(self) -> None:
        self.gate = Event()
        self.waiting = 0

    def wait_for(self, number: int) -> None:
        wait_until(lambda: self.waiting == number, f"{number} bodies wait", pause_s=0.005)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[GatedWorker]:
    worker, run = GatedWorker(), DecodeWorker.run

    async def gated(self: DecodeWorker, work: Any) -> Any:
        def wait() -> Any:
            assert worker.gate.wait(WAIT_S)
            return work()

        worker.waiting += 1
        return await run(self, wait)

    monkeypatch.setattr(DecodeWorker, "run", gated)
    yield worker
    worker.gate.set()


def post(path: str, body: bytes, **headers: object) -> bytes:
    return head(content_length=len(body), **headers).replace(b"/receipt", path.encode(), 1) + body


def wait_for(budget: MemoryBudget, size_bytes: int) -> None:
    wait_until(lambda: budget.reserved_bytes == size_bytes, f"{size_bytes} bytes are reserved", pause_s=0.005)


PLAIN = encoded().ljust(LARGE)
PACKED = gzip.compress(encoded(extra=random.Random(1).randbytes(LARGE).hex()), 1)
SMALL = gzip.compress(encoded().ljust(90_000))


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
@pytest.mark.parametrize(("body", "encoding"), [(PLAIN, "identity"), (PACKED, "gzip"), (SMALL, "gzip")])
def test_bodies_that_wait_for_the_worker_are_counted(
    start: Start, budgets: list[MemoryBudget], worker: GatedWorker, path: str, body: bytes, encoding: str
) -> None:
    ingest = start()
    connections = [ingest.connect() for _ in range(3)]
    for connection in connections:
        connection.send(post(path, body, content_encoding=encoding))
    worker.wait_for(3)
    assert budgets[0].reserved_bytes == 3 * len(body)
    worker.gate.set()
    assert [connection.answer().status for connection in connections] == [202] * 3
    wait_for(budgets[0], 0)


def test_a_body_beyond_the_budget_is_answered_503(
    start: Start, budgets: list[MemoryBudget], worker: GatedWorker
) -> None:
    ingest = start(pending_limit_bytes=3 * LARGE)
    connections = [ingest.connect() for _ in range(2)]
    for connection in connections:
        connection.send(post("/receipts", PLAIN))
    worker.wait_for(2)
    assert budgets[0].reserved_bytes == 2 * LARGE
    assert ingest.post("/receipts", encoded().ljust(LARGE + 1)).status == 503
    assert ingest.post("/receipt", encoded()).status == 202
    worker.gate.set()
    assert [connection.answer().status for connection in connections] == [202] * 2
    wait_for(budgets[0], 0)


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_no_byte_is_counted_twice(start: Start, path: str, encoding: str) -> None:
    ingest = start(body_limit_bytes=LARGE, pending_limit_bytes=LARGE + 1_000)
    body = encoded(extra=random.Random(1).randbytes(LARGE // 2 - 100).hex()).ljust(LARGE)
    sent = gzip.compress(body) if encoding == "gzip" else body
    assert ingest.post(path, sent, NDJSON, ("content-encoding", encoding)).status == 202


def gated(tmp_path: Path) -> GatedLog:
    return GatedLog(tmp_path / "log.sqlite3", Settings())


def test_a_body_that_waits_behind_another_request_is_counted_until_it_is_answered(
    start: Start, tmp_path: Path, budgets: list[MemoryBudget], worker: GatedWorker
) -> None:
    log = gated(tmp_path)
    ingest = start(log=log)
    log.gate.clear()
    connection = ingest.connect()
    connection.send(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n" + post("/receipts", PLAIN))
    wait_for(budgets[0], LARGE)
    log.gate.set()
    assert connection.answer().status == 200
    worker.wait_for(1)
    assert budgets[0].reserved_bytes == LARGE
    worker.gate.set()
    assert connection.answer().status == 202
    wait_for(budgets[0], 0)


def test_a_waiting_body_is_released_when_its_connection_is_cut_off(
    tmp_path: Path, budgets: list[MemoryBudget], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "STOP_LIMIT_S", 0.1)
    log = gated(tmp_path)
    ingest = Ingest(tmp_path, log)
    log.gate.clear()
    ingest.connect().send(b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n" + post("/receipts", PLAIN))
    wait_for(budgets[0], LARGE)
    ingest.request_stop()
    assert ingest.has_stopped()
    assert budgets[0].reserved_bytes == 0
    log.gate.set()
    ingest.close()


def test_a_body_of_a_disconnected_client_is_counted_until_it_was_decoded(
    start: Start, budgets: list[MemoryBudget], worker: GatedWorker
) -> None:
    ingest = start(connection_limit=1)
    gone = ingest.connect()
    gone.send(post("/receipts", PLAIN))
    worker.wait_for(1)
    gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.close()
    wait_until(lambda: ingest.request("GET", "/health/live").status == 200, "the connection is lost")
    assert budgets[0].reserved_bytes == LARGE
    worker.gate.set()
    wait_for(budgets[0], 0)


@pytest.mark.parametrize(
    ("method", "path", "media_type", "status"),
    [
        ("POST", "/nowhere", JSON, 404),
        ("PUT", "/receipts", JSON, 405),
        ("GET", "/health/live", JSON, 200),
        ("GET", "/health/ready", JSON, 200),
        ("POST", "/receipts", "image/png", 415),
        ("POST", "/receipt", "image/png", 415),
    ],
)
def test_a_body_that_is_not_needed_is_released(
    start: Start, budgets: list[MemoryBudget], method: str, path: str, media_type: str, status: int
) -> None:
    ingest = start()
    assert ingest.request(method, path, PLAIN, ("content-type", media_type)).status == status
    wait_for(budgets[0], 0)


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_a_broken_or_refused_body_is_released(start: Start, budgets: list[MemoryBudget], path: str) -> None:
    ingest = start(pending_limit_bytes=3 * LARGE)
    for body, headers, status in [
        (PACKED[:-9], [("content-encoding", "gzip")], 400),
        (gzip.compress(b" " * 950_000), [("content-encoding", "gzip")], 503),
        (b"[" * LARGE, [], 400),
        (PLAIN * 4, [], 503),
    ]:
        assert ingest.post(path, body, JSON, *headers).status == status
        wait_for(budgets[0], 0)
    connection = ingest.connect()
    connection.send(post(path, PLAIN)[:-1])
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.answer().status == 400
    wait_for(budgets[0], 0)


@pytest.mark.parametrize(
    ("path", "fails"), [("/receipt", "post_large_receipt"), ("/receipts", "post_receipts"), ("/receipts", "_reserve")]
)
def test_a_bug_releases_the_reservation(
    start: Start, budgets: list[MemoryBudget], monkeypatch: pytest.MonkeyPatch, path: str, fails: str
) -> None:
    def failing(*_: object, **_named: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(handlers.ReceiptHandlers, fails, failing)
    ingest = start()
    assert ingest.post(path, PLAIN).status == 500
    wait_for(budgets[0], 0)


def test_a_chunked_body_is_counted_until_the_commit_has_its_receipt(
    start: Start, tmp_path: Path, budgets: list[MemoryBudget]
) -> None:
    log = gated(tmp_path)
    ingest = start(log=log)
    log.gate.clear()
    connection = ingest.connect()
    body = encoded(extra="x" * 10_000)
    connection.send(head(transfer_encoding="chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    wait_until(log.waiting.is_set, "a commit is under way")
    assert len(body) < budgets[0].reserved_bytes < len(body) + 1_000
    log.gate.set()
    assert connection.answer().status == 202
    wait_for(budgets[0], 0)


def test_bodies_that_wait_for_the_worker_at_the_stop_are_released(
    tmp_path: Path, budgets: list[MemoryBudget], worker: GatedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "STOP_LIMIT_S", 0.1)
    ingest = Ingest(tmp_path)
    for path in ("/receipts", "/receipts", "/receipt"):
        ingest.connect().send(post(path, PLAIN))
    worker.wait_for(3)
    assert budgets[0].reserved_bytes == 3 * LARGE
    ingest.request_stop()
    assert ingest.has_stopped()
    assert budgets[0].reserved_bytes == 0
    worker.gate.set()
    ingest.close()
