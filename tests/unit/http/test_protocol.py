"""HTTP/1.1 over real sockets: framing, order, limits of size, time and number, and the end of connections."""

from __future__ import annotations

import asyncio
import math
import socket
from pathlib import Path

import pytest

from tests.inprocess.ingest import GatedLog, Start
from tests.support.ingest import JSON, Connection, encoded, head
from tests.support.waiting import wait_until
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.http import protocol
from tillstream.http.memory import MemoryBudget
from tillstream.http.messages import Headers, Request
from tillstream.http.protocol import Connection as Protocol
from tillstream.http.server import Connections
from tillstream.ingest import responses


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


def test_a_chunked_body_that_breaks_off_is_answered_400(start: Start) -> None:
    connection: Connection = start().connect()
    connection.send(head(transfer_encoding="chunked") + b"ff\r\n{")
    connection.socket.shutdown(socket.SHUT_WR)
    assert connection.answer().status == 400


def test_a_connection_serves_many_requests(start: Start) -> None:
    ingest = start()
    connection = ingest.connect()
    for number in range(5):
        assert connection.request("POST", "/receipt", encoded(number), [("content-type", JSON)]).status == 202
    assert len(ingest.records()) == 5


def test_a_body_over_the_limit_is_answered_413_before_it_is_sent(start: Start) -> None:
    connection = start(body_limit_bytes=200_000).connect()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: 200001\r\n\r\n")
    answer = connection.answer()
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_a_chunked_body_is_taken_up_to_the_limit(start: Start) -> None:
    ingest = start(body_limit_bytes=2_000)
    head = b"POST /receipt HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    body = encoded()
    connection = ingest.connect()
    connection.send(head + b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (9, body[:9], len(body) - 9, body[9:]))
    assert connection.answer().status == 202
    assert ingest.records()[0]["body"] == body
    connection.send(head + b"800\r\n" + b" " * 2_048 + b"\r\n")
    assert connection.answer().status == 413
    assert len(ingest.records()) == 1


def test_headers_over_the_limit_are_refused(start: Start) -> None:
    ingest = start(header_limit_bytes=8_192)
    connection = ingest.connect()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000)
    assert connection.answer().status == 431


@pytest.mark.parametrize("trailers", [b"x" * 2_000_000, b"x: " + b"y" * 2_000_000, b"x: y\r\n" * 350_000])
@pytest.mark.parametrize("chunks", [b"", b"1\r\n{\r\n"])
def test_trailers_over_the_limit_of_headers_are_refused(start: Start, chunks: bytes, trailers: bytes) -> None:
    connection = start(header_limit_bytes=8_192).connect()
    connection.send(head(transfer_encoding="chunked") + chunks + b"0\r\n" + trailers)
    assert connection.answer().status == 431
    assert connection.at_end()


def test_trailers_are_no_headers(start: Start) -> None:
    ingest = start()
    connection = ingest.connect()
    chunked = head(transfer_encoding="chunked", content_type=JSON) + b"%x\r\n%b\r\n0\r\n" % (len(encoded()), encoded())
    for trailers in (b"content-type: text/x-unknown\r\n", b"tillstream-source: simulated\r\n", b""):
        connection.send(chunked + trailers + b"\r\n")
        assert connection.answer().status == 202
    assert [record["source"] for record in ingest.records()] == ["json/http"] * 3


def test_what_frames_many_small_chunks_counts_as_no_trailers(start: Start) -> None:
    connection = start(header_limit_bytes=8_192).connect()
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.send(head(transfer_encoding="chunked"))
    for byte in encoded():
        connection.send(b"1;x=" + b"y" * 1_000 + b"\r\n")
        connection.send(b"%c\r\n" % byte)
    connection.send(b"0\r\nx: y\r\n\r\n")
    assert connection.answer().status == 202


def test_a_client_that_goes_away_disturbs_nobody(start: Start) -> None:
    ingest = start()
    for path in ("/receipt", "/receipts"):
        connection = ingest.connect()
        connection.send(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{" % path.encode())
        connection.close()
    assert ingest.post("/receipt", encoded()).status == 202


def post(body: bytes, path: str = "/receipt", *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


def gated(tmp_path: Path) -> GatedLog:
    return GatedLog(tmp_path / "log.sqlite3", Settings())


def test_requests_sent_ahead_are_answered_in_their_order(start: Start) -> None:
    ingest = start()
    connection = ingest.connect()
    connection.send(
        post(encoded(1)) + b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n" + post(b"[]", "/receipts") + post(encoded(2))
    )
    assert [connection.answer().status for _ in range(4)] == [202, 404, 422, 202]
    assert connection.request("GET", "/health/live").status == 200


def test_thousands_of_requests_in_one_go_are_all_answered(start: Start) -> None:
    connection = start().connect()
    connection.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n" * 5_000)
    assert {connection.answer().status for _ in range(5_000)} == {200}


def test_a_client_that_sends_far_ahead_of_its_answers_is_stopped(start: Start, tmp_path: Path) -> None:
    log = gated(tmp_path)
    ingest = start(log=log)
    log.gate.clear()
    connection = ingest.connect()
    connection.send(post(encoded(1)) * (protocol.PIPELINE_LIMIT + 20))
    wait_until(log.waiting.is_set, "a commit is under way")
    log.gate.set()
    statuses = [connection.answer().status for _ in range(protocol.PIPELINE_LIMIT + 3)]
    assert statuses == [202] * (protocol.PIPELINE_LIMIT + 2) + [503]
    assert connection.at_end()


@pytest.mark.parametrize("size", [1, 7, 64])
def test_it_does_not_matter_where_the_network_cuts(start: Start, size: int) -> None:
    ingest = start()
    stream = post(encoded(1)) + b"GET /health/live?x=1 HTTP/1.1\r\nhost: x\r\n\r\n" + post(b"{")
    connection = ingest.connect()
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for first in range(0, len(stream), size):
        connection.send(stream[first : first + size])
    assert [connection.answer().status for _ in range(3)] == [202, 200, 400]


def test_a_refused_client_that_goes_on_sending_still_reads_why(start: Start) -> None:
    connection = start(body_limit_bytes=200_000).connect()
    connection.send(post(b" " * 3_000_000))
    answer = connection.answer()
    assert answer.status == 413
    assert connection.at_end()


def test_what_is_refused_while_another_is_answered_waits_its_turn(start: Start, tmp_path: Path) -> None:
    log = gated(tmp_path)
    ingest = start(log=log, body_limit_bytes=200_000)
    log.gate.clear()
    connection = ingest.connect()
    connection.send(post(encoded(1)) + post(b" " * 300_000))
    wait_until(log.waiting.is_set, "a commit is under way")
    log.gate.set()
    assert [connection.answer().status for _ in range(2)] == [202, 413]
    assert connection.at_end()


def test_what_is_no_http_is_answered_400(start: Start) -> None:
    ingest = start()
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"POST /receipt HTTP/1.1\r\ncontent-length: ten\r\n\r\n"):
        connection = ingest.connect()
        connection.send(sent)
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert connection.at_end()


def test_a_body_framed_in_two_ways_is_refused(start: Start) -> None:
    ingest = start()
    connection = ingest.connect()
    connection.send(head(content_length=5, transfer_encoding="chunked") + b"0\r\n\r\n")
    assert connection.answer().status == 400
    assert connection.at_end()
    assert ingest.records() == []


def test_the_connection_is_kept_as_the_client_asks(start: Start) -> None:
    ingest = start()
    for request, stays in [
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n", True),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", False),
        (b"GET /health/live HTTP/1.0\r\n\r\n", False),
        (b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", False),
    ]:
        connection = ingest.connect()
        connection.send(request)
        assert connection.answer().status == 200
        if stays:
            assert connection.request("GET", "/health/live").status == 200
        else:
            assert connection.at_end()


def test_every_answer_says_when_and_how_long(start: Start) -> None:
    ingest = start()
    connection = ingest.connect()
    whole = connection.request("GET", "/health/live")
    assert whole.headers["date"].endswith(" GMT")
    without = connection.request("HEAD", "/health/live")
    assert (without.headers["content-length"], without.body) == (str(len(whole.body)), b"")
    assert connection.request("GET", "/health/live") == whole


class Unread:
    """A transport whose client reads nothing: it has taken what was written, and does not end by itself."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def get_extra_info(self, _name: str) -> None:
        return None

    def write(self, _data: bytes) -> None:
        self.events.append("write")

    def is_closing(self) -> bool:
        return "close" in self.events

    def close(self) -> None:
        self.events.append("close")

    def abort(self) -> None:
        self.events.append("abort")


class Answering:
    """An application that answers everything at once."""

    answers_half_closed = True

    def handle(self, _request: Request, connection: Protocol) -> None:
        connection.respond(responses.live())

    def reject(self, _headers: Headers) -> None:
        return None


@pytest.mark.parametrize("asked", [b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b""])
def test_a_client_that_never_reads_its_last_answer_is_cut_off(asked: bytes) -> None:
    async def run() -> list[str]:
        server = Connections(Answering(), Settings(), MemoryBudget(1_000), SystemClock())
        connection, transport = Protocol(server), Unread()
        connection.connection_made(transport)  # type: ignore[arg-type]
        if asked:
            connection.data_received(asked)
        else:
            connection.overdue()
        assert transport.events[-1:] == ["close"]
        assert connection.deadline < math.inf
        connection.overdue()
        return transport.events

    assert asyncio.run(run())[-1:] == ["abort"]
