"""What ingest answers where, over a real socket."""

from __future__ import annotations

import re

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.ingest import NDJSON, Answer, encoded

BOM = b"\xef\xbb\xbf"


def first_error(answer: Answer) -> str:
    return str(answer.json["errors"][0]["error"])


def test_unknown_paths_are_answered_404(ingest: Ingest) -> None:
    answer = ingest.request("GET", "/nowhere")
    assert answer.status == 404
    assert "/receipt" in answer.json["errors"][0]["hint"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("PUT", "/receipt", "POST, GET, HEAD"), ("GET", "/receipts", "POST"), ("POST", "/metrics", "GET, HEAD")],
)
def test_another_method_is_answered_405_with_the_right_ones(ingest: Ingest, method: str, path: str, allow: str) -> None:
    answer = ingest.request(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


def test_the_process_says_that_it_lives_and_is_ready(ingest: Ingest) -> None:
    assert ingest.request("GET", "/health/live").json == {"status": "live"}
    assert ingest.request("GET", "/health/ready").json == {"status": "ready"}
    assert ingest.request("HEAD", "/health/ready").status == 200


def test_the_metrics_count_what_happened(ingest: Ingest) -> None:
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
