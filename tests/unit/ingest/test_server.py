"""The server's start and end: ports, readiness, and what becomes of requests under way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.ingest import GatedLog, Ingest
from tests.support.certificate import Certificate, certificate
from tests.support.ingest import encoded, head
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.errors import AccessError, OperationalError, PortTaken
from tillstream.ingest import server
from tillstream.log.base import START
from tillstream.log.sqlite.log import SqliteLog


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Ingest]:
    directory = tmp_path / "data"
    directory.mkdir()
    ingest = Ingest(directory, GatedLog(directory / "log.sqlite3", Settings()))
    yield ingest
    ingest.close()


def log_of(ingest: Ingest) -> GatedLog:
    assert isinstance(ingest.log, GatedLog)
    return ingest.log


def test_it_serves_from_the_moment_that_it_is_ready(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)
    assert ingest.port > 0
    assert ingest.post("/receipt", encoded()).status == 202
    ingest.close()


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            Ingest(tmp_path, ingest_port=port)
    assert f"could not listen on 127.0.0.1:{port}: another program listens there already" in str(caught.value)
    assert "--ingest-port" in str(caught.value)


def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    first = Ingest(tmp_path / "first")
    with pytest.raises(PortTaken):
        Ingest(tmp_path / "second", ingest_port=first.port)
    first.close()


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=r"could not listen on 192\.0\.2\.1:0"):
        Ingest(tmp_path, host="192.0.2.1")


def test_a_port_is_free_again_after_the_stop(tmp_path: Path) -> None:
    first = Ingest(tmp_path / "first")
    connection = first.connect()
    assert connection.request("GET", "/health/live").status == 200
    first.ask_to_stop()
    assert first.stopped()
    second = Ingest(tmp_path / "second", ingest_port=first.port)
    assert second.request("GET", "/health/live").status == 200
    first.close()
    second.close()


def test_an_idle_connection_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)
    silent, idle = ingest.connect(), ingest.connect()
    assert idle.request("GET", "/health/live").status == 200
    ingest.ask_to_stop()
    assert ingest.stopped(2.0)
    assert silent.at_end()
    assert idle.at_end()
    ingest.close()


def test_what_waits_for_the_disk_at_the_stop_is_committed_and_answered(gated: Ingest) -> None:
    log = log_of(gated)
    log.gate.clear()
    connections = [gated.connect() for _ in range(20)]
    for number, connection in enumerate(connections):
        body = encoded(number)
        connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    wait_until(log.waiting.is_set, "a commit is under way")
    wait_until(lambda: b"tillstream_requests" in gated.request("GET", "/metrics").body, "the requests were read")
    gated.ask_to_stop()
    assert not gated.stopped(0.3)
    log.gate.set()
    assert [connection.answer().status for connection in connections] == [202] * 20
    assert gated.stopped()
    log.close()
    again = SqliteLog(log._path, writer=False, settings=gated.settings)
    assert sum(chunk.count for chunk in again.read(START, 1_000)) == 20
    again.close()


def test_a_stop_ends_within_its_limit_whatever_the_log_does(gated: Ingest) -> None:
    log = log_of(gated)
    log.gate.clear()
    connection = gated.connect()
    body = encoded()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    wait_until(log.waiting.is_set, "a commit is under way")
    gated.ask_to_stop()
    assert gated.stopped(server.STOP_LIMIT_S + server.COMMIT_LIMIT_S + 4.0)
    log.gate.set()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secured(tmp_path: Path, own: Certificate) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path / "data", body_limit_bytes=100_000, header_timeout_ms=1_000, **own.settings)
    yield ingest
    ingest.close()


def test_with_a_certificate_receipts_come_by_tls(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    for number in range(3):
        assert connection.request("POST", "/receipt", encoded(number)).status == 202
    assert len(secured.records()) == 3


def test_who_speaks_plain_http_to_it_learns_nothing_and_holds_up_nobody(secured: Ingest, own: Certificate) -> None:
    plain = secured.connect()
    plain.send(head(content_length=2) + b"{}")
    assert plain.at_end()
    silent = secured.connect()
    assert secured.connect(own.trusted).request("POST", "/receipt", encoded()).status == 202
    assert silent.at_end()


def test_a_refusal_that_closes_is_read_by_tls_too(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    connection.send(head(content_length=200_000))
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert connection.at_end()


def test_a_server_with_tls_stops_while_connections_are_open(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    assert connection.request("GET", "/health/live").status == 200
    secured.ask_to_stop()
    assert secured.stopped()


def test_a_certificate_that_cannot_be_used_ends_it_before_it_listens(tmp_path: Path, own: Certificate) -> None:
    with pytest.raises(AccessError, match="both are needed"):
        Ingest(tmp_path / "data", tls_certificate_file=str(own.certificate))
