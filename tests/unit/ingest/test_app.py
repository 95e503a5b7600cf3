"""The ingest application over a real socket: routes, health, metrics, start, stop and TLS."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.ingest import GatedLog, Ingest
from tests.support.certificate import Certificate, certificate
from tests.support.ingest import NDJSON, encoded, head
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.errors import AccessError, OperationalError, PortTaken
from tillstream.ingest import app
from tillstream.log.base import START
from tillstream.log.sqlite.log import SqliteLog


def test_unknown_paths_are_answered_404(ingest: Ingest) -> None:
    answer = ingest.request("GET", "/nowhere")
    assert answer.status == 404
    assert "/receipt" in answer.json["errors"][0]["hint"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("PUT", "/receipt", "POST, GET, HEAD"), ("GET", "/receipts", "POST"), ("POST", "/metrics", "GET, HEAD")],
)
def test_another_method_is_answered_405_with_the_allowed_ones(
    ingest: Ingest, method: str, path: str, allow: str
) -> None:
    answer = ingest.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


def test_the_server_reports_that_it_is_live_and_ready(ingest: Ingest) -> None:
    assert ingest.request("GET", "/health/live").json == {"status": "live"}
    assert ingest.request("GET", "/health/ready").json == {"status": "ready"}
    assert ingest.request("HEAD", "/health/ready").status == 200


def test_the_metrics_count_requests_and_receipts(ingest: Ingest) -> None:
    ingest.post("/receipt", encoded())
    ingest.post("/receipt", b"{")
    ingest.post("/receipts", b"\n".join([encoded(1), encoded(2), b"{"]), NDJSON)
    answer = ingest.request("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = dict(re.findall(r"^(\S+) (\S+)$", answer.body.decode(), re.MULTILINE))
    assert float(found['tillstream_receipts_total{outcome="accepted"}']) == 3
    assert float(found['tillstream_receipts_total{outcome="refused"}']) == 2
    assert float(found['tillstream_requests_total{status="202"}']) == 2
    assert float(found['tillstream_requests_total{status="400"}']) == 1
    assert float(found["tillstream_commit_seconds_count"]) == 3
    assert float(found["tillstream_log_lag_records"]) == 5
    assert float(found["tillstream_pending_bytes"]) == 0
    assert float(found['tillstream_data_file_bytes{file="log.sqlite3"}']) > 0


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


def test_the_server_responds_once_it_is_ready(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)
    assert ingest.port > 0
    assert ingest.post("/receipt", encoded()).status == 202
    ingest.close()


def test_a_taken_port_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            Ingest(tmp_path, ingest_port=port)
    assert f"could not listen on 127.0.0.1:{port}: another program already listens there" in str(caught.value)
    assert "--ingest-port" in str(caught.value)


def test_two_servers_never_share_a_port(tmp_path: Path) -> None:
    first = Ingest(tmp_path / "first")
    with pytest.raises(PortTaken):
        Ingest(tmp_path / "second", ingest_port=first.port)
    first.close()


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=r"could not listen on 192\.0\.2\.1:0"):
        Ingest(tmp_path, host="192.0.2.1")


def test_a_port_is_free_again_after_the_stop(tmp_path: Path) -> None:
    first = Ingest(tmp_path / "first")
    connection = first.connect()
    assert connection.request("GET", "/health/live").status == 200
    first.request_stop()
    assert first.has_stopped()
    second = Ingest(tmp_path / "second", ingest_port=first.port)
    assert second.request("GET", "/health/live").status == 200
    first.close()
    second.close()


def test_an_idle_connection_does_not_delay_the_stop(tmp_path: Path) -> None:
    ingest = Ingest(tmp_path)
    silent, idle = ingest.connect(), ingest.connect()
    assert idle.request("GET", "/health/live").status == 200
    ingest.request_stop()
    assert ingest.has_stopped(2.0)
    assert silent.at_end()
    assert idle.at_end()
    ingest.close()


def test_pending_receipts_are_committed_and_answered_at_the_stop(gated: Ingest) -> None:
    log = log_of(gated)
    log.gate.clear()
    connections = [gated.connect() for _ in range(20)]
    for number, connection in enumerate(connections):
        body = encoded(number)
        connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    wait_until(log.waiting.is_set, "a commit is under way")
    wait_until(lambda: b"tillstream_requests" in gated.request("GET", "/metrics").body, "the requests were read")
    gated.request_stop()
    assert not gated.has_stopped(0.3)
    log.gate.set()
    assert [connection.answer().status for connection in connections] == [202] * 20
    assert gated.has_stopped()
    log.close()
    again = SqliteLog(log._path, writer=False, settings=gated.settings)
    assert sum(chunk.count for chunk in again.read(START, 1_000)) == 20
    again.close()


def test_a_log_that_hangs_does_not_delay_the_stop_beyond_its_limit(gated: Ingest) -> None:
    log = log_of(gated)
    log.gate.clear()
    connection = gated.connect()
    body = encoded()
    connection.send(b"POST /receipt HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    wait_until(log.waiting.is_set, "a commit is under way")
    gated.request_stop()
    assert gated.has_stopped(app.STOP_LIMIT_S + app.COMMIT_LIMIT_S + 4.0)
    log.gate.set()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def secured(tmp_path: Path, own: Certificate) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path / "data", body_limit_bytes=100_000, header_timeout_ms=1_000, **own.settings)
    yield ingest
    ingest.close()


def test_with_a_certificate_receipts_are_accepted_over_tls(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    for number in range(3):
        assert connection.request("POST", "/receipt", encoded(number)).status == 202
    assert len(secured.records()) == 3


def test_plain_http_to_a_tls_port_is_closed_and_blocks_no_other_connection(secured: Ingest, own: Certificate) -> None:
    plain = secured.connect()
    plain.send(head(content_length=2) + b"{}")
    assert plain.at_end()
    silent = secured.connect()
    assert secured.connect(own.trusted).request("POST", "/receipt", encoded()).status == 202
    assert silent.at_end()


def test_a_response_that_closes_the_connection_arrives_over_tls(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    connection.send(head(content_length=200_000))
    answer = connection.answer()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert connection.at_end()


def test_a_server_with_tls_stops_while_connections_are_open(secured: Ingest, own: Certificate) -> None:
    connection = secured.connect(own.trusted)
    assert connection.request("GET", "/health/live").status == 200
    secured.request_stop()
    assert secured.has_stopped()


def test_an_unusable_certificate_is_an_error_at_the_start(tmp_path: Path, own: Certificate) -> None:
    with pytest.raises(AccessError, match="one of the two files is missing"):
        Ingest(tmp_path / "data", tls_certificate_file=str(own.certificate))
