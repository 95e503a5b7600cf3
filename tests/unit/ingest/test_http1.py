"""Bodies are read under limits of size, time and memory, whole or not at all."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ingest import Connection, Ingest, encoded

Start = Callable[..., Ingest]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started = []

    def start(**settings: Any) -> Ingest:
        ingest = Ingest(tmp_path, **settings)
        started.append(ingest)
        return ingest

    yield start
    for ingest in started:
        ingest.close()


def head(**headers: object) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /receipt HTTP/1.1", "host: x", *lines, "", ""]).encode()


def test_a_body_in_many_pieces_is_read_whole(start: Start) -> None:
    ingest = start()
    body = encoded(extra="x" * 300_000)
    connection = ingest.connect()
    connection.send(head(content_length=len(body)))
    for first in range(0, len(body), 50_000):
        connection.send(body[first : first + 50_000])
    assert connection.answer().status == 202
    assert ingest.records()[0]["body"] == body


def test_a_body_as_large_as_the_limit_is_read_and_one_byte_more_is_not(start: Start) -> None:
    ingest = start(body_limit_bytes=150_000)
    fitting = encoded().ljust(150_000)
    assert ingest.post("/receipt", fitting).status == 202
    assert ingest.post("/receipt", fitting + b" ").status == 413


def test_an_empty_body_is_an_answer_too(start: Start) -> None:
    connection = start().connect()
    connection.send(head())
    assert connection.answer().status == 400


def test_bodies_under_way_are_bounded_together(start: Start) -> None:
    ingest = start(pending_limit_bytes=500_000)
    body = encoded().ljust(300_000)
    slow = ingest.connect()
    slow.send(head(content_length=len(body), expect="100-continue"))
    assert slow.answer().status == 100
    assert ingest.post("/receipt", body).status == 503
    assert ingest.post("/receipt", encoded()).status == 202
    slow.send(body)
    assert slow.answer().status == 202
    assert ingest.post("/receipt", body).status == 202


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


def test_a_chunked_body_that_breaks_off_is_answered_400(start: Start) -> None:
    connection: Connection = start().connect()
    connection.send(head(transfer_encoding="chunked") + b"ff\r\n{")
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.answer().status == 400
