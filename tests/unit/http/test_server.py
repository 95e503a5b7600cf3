"""Connections are limited in time and number, and cost no memory while nobody reads."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from tests.inprocess.ingest import GatedLog, Start
from tests.support.ingest import encoded, head
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.http import protocol


@pytest.mark.parametrize(
    "framing", [{"content_length": 200_000}, {"content_length": 20}, {"transfer_encoding": "chunked"}]
)
def test_a_slow_body_is_ended_however_it_is_framed(start: Start, framing: dict[str, object]) -> None:
    ingest = start(body_timeout_ms=150, pending_limit_bytes=250_000)
    connection = ingest.connect()
    connection.send(head(**framing) + b"5\r\n{")
    assert connection.answer().status == 408
    assert connection.at_end()
    assert ingest.post("/receipt", encoded().ljust(200_000)).status == 202


def test_a_body_that_takes_too_long_is_answered_408_and_the_connection_closed(start: Start) -> None:
    ingest = start(body_timeout_ms=200)
    connection = ingest.connect()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
    answer = connection.answer()
    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert connection.at_end()
    assert ingest.post("/receipt", encoded()).status == 202


def test_a_connection_without_a_request_is_closed(start: Start) -> None:
    connection = start(header_timeout_ms=200).connect()
    assert connection.at_end()


def test_headers_that_take_too_long_are_answered_408(start: Start) -> None:
    connection = start(header_timeout_ms=200).connect()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: ")
    assert connection.answer().status == 408
    assert connection.at_end()


READY = b"GET /health/ready HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("begun", [head(content_length=33_000_000), b"POST /receipt HTTP/1.1\r\nhost: "])
def test_a_request_begun_behind_others_that_never_comes_whole_is_ended_and_its_room_is_free(
    start: Start, begun: bytes
) -> None:
    ingest = start(header_timeout_ms=200, body_timeout_ms=200, pending_limit_bytes=33_100_000)
    connection = ingest.connect()
    connection.send(READY * 2 + begun)
    assert [connection.answer().status for _ in range(3)] == [200, 200, 408]
    assert connection.at_end()
    assert ingest.post("/receipt", encoded().ljust(200_000)).status == 202


@pytest.mark.parametrize("cut", [20, -20], ids=["in its head", "in its body"])
def test_a_request_that_is_not_read_while_others_are_answered_is_not_late(
    start: Start, tmp_path: Path, cut: int
) -> None:
    log = GatedLog(tmp_path / "log.sqlite3", Settings())
    ingest = start(log=log, header_timeout_ms=300, body_timeout_ms=300)
    log.gate.clear()
    connection = ingest.connect()
    whole = head(content_length=len(encoded())) + encoded()
    connection.send(whole + READY + whole[:cut])
    wait_until(log.waiting.is_set, "a commit is under way")
    # Who came later and sends nothing is late.
    assert ingest.connect().at_end()
    connection.send(whole[cut:])
    log.gate.set()
    assert [connection.answer().status for _ in range(3)] == [202, 200, 202]


def test_more_connections_than_the_limit_are_told_so(start: Start) -> None:
    ingest = start(connection_limit=2)
    kept = [ingest.connect() for _ in range(2)]
    assert [connection.request("GET", "/health/live").status for connection in kept] == [200, 200]
    refused = ingest.connect()
    answer = refused.answer()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    kept[0].close()
    wait_until(lambda: ingest.request("GET", "/health/live").status == 200, "there is room again")


def test_a_client_that_reads_nothing_is_cut_off_and_costs_no_memory(start: Start) -> None:
    ingest = start(body_timeout_ms=400)
    connection = ingest.connect()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    connection.send(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n" * protocol.PIPELINE_LIMIT)

    def cut_off() -> bool:
        try:
            connection.send(b"\r\n")
        except OSError:
            return True
        return False

    wait_until(cut_off, "the server has had enough")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
