"""Given a database that agrees with its log; when anything in it is changed; then the check reports the difference."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.access import machine_token
from tillstream.composition import open_read_side
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.errors import DatabaseUnavailable, DataDirectoryError
from tillstream.queries.queries import Queries
from tillstream.verification import check
from tillstream.verification.check import Difference, Report

DAY = "2026-11-23"


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """Three receipts of two days, a duplicate, a conflict and a refusal."""
    pipeline = Pipeline(tmp_path)
    pipeline.append(body(), body(cashReceiptID="2"), body(cashReceiptID="3", date="2026-11-22 10:00:00"))
    pipeline.append(body())
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    pipeline.refuse(b"no receipt", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    yield pipeline
    pipeline.close()


def run(pipeline: Pipeline) -> Report:
    queries = Queries(pipeline.database, pipeline.log, pipeline.metrics, pipeline.settings, pipeline.clock)
    return check.run(pipeline.database, queries, pipeline.log, pipeline.metrics)


def test_all_figures_agree(pipeline: Pipeline) -> None:
    report = run(pipeline)
    assert report.differences == []
    assert report.agrees
    assert (report.days, report.metrics, report.records) == (2, len(pipeline.metrics), 6)
    assert report.counts == {"receipts": 3, "duplicates": 1, "conflicts": 1, "quarantined": 1, "damaged": 0}


def test_an_empty_database_agrees(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    try:
        assert run(pipeline).agrees
    finally:
        pipeline.close()


def test_a_wrong_cent_in_a_metric_is_reported_with_both_sides(pipeline: Pipeline) -> None:
    pipeline.tamper("UPDATE merged_payments_by_mechanism SET revenue = revenue + 0.01 WHERE day = '2026-11-22'")
    (difference,) = run(pipeline).differences
    assert (difference.figure, difference.where) == ("payments_by_mechanism", "day 2026-11-22, mechanism CB")
    assert ("5.01" in difference.shown, "5.00" in difference.recounted) == (True, True)


def test_a_missing_or_extra_row_of_a_metric_is_reported(pipeline: Pipeline) -> None:
    pipeline.tamper("DELETE FROM merged_vat_by_rate WHERE day = '2026-11-22' AND rate = '10'")
    pipeline.tamper("INSERT INTO merged_payments_by_mechanism BY NAME SELECT CAST('2026-11-22' AS DATE) AS day, "
           "'X' AS mechanism, 1 AS revenue, 1 AS settlements")  # fmt: skip
    lacking, extra = sorted(run(pipeline).differences, key=lambda difference: difference.figure, reverse=True)
    assert (lacking.figure, lacking.shown) == ("vat_by_rate", "nothing")
    assert (extra.figure, extra.recounted) == ("payments_by_mechanism", "nothing")


@pytest.mark.parametrize(
    ("column", "figures"),
    [
        ("revenue", {"summary.revenue", "summary.average_ticket"}),
        ("net", {"summary.net"}),
        ("tax", {"summary.tax"}),
        ("receipts", {"summary.receipts", "summary.average_ticket"}),
        ("quantity", {"summary.items"}),
        ("anomalies", {"summary.anomalies"}),
    ],
)
def test_the_summary_is_recounted(pipeline: Pipeline, column: str, figures: set[str]) -> None:
    pipeline.tamper(f"UPDATE merged_sales SET {column} = {column} + 1 WHERE day = '{DAY}'")
    reported = {difference.figure: difference.where for difference in run(pipeline).differences}
    assert reported == {"sales": f"day {DAY}"} | dict.fromkeys(figures, f"day {DAY}")


def test_shops_tills_and_delays_of_the_summary_are_recounted(pipeline: Pipeline) -> None:
    for metric in ("sales_by_store", "sales_by_till", "delays"):
        pipeline.tamper(f"DELETE FROM merged_{metric} WHERE day = '{DAY}'")
    reported = {difference.figure for difference in run(pipeline).differences}
    assert reported >= {
        "summary.stores_active",
        "summary.tills_active",
        "summary.ingest_delay_ms",
        "summary.till_delay_s",
    }


@pytest.mark.parametrize(
    ("statement", "figure"),
    [
        ("UPDATE counters SET value = value + 1 WHERE name = 'duplicates'", "records of the log"),
        ("UPDATE counters SET value = value + 1 WHERE name = 'conflicts'", "entries of the quarantine"),
        ("UPDATE state SET records = records - 1", "records consumed"),
        ("DELETE FROM receipts WHERE receipt = '3'", "records of the log"),
        ("UPDATE receipts SET key = (SELECT min(key) FROM receipts)", "different keys of receipts"),
        ("UPDATE receipts SET place = 0", "different record ids of receipts"),
    ],
)
def test_every_acknowledged_record_is_accounted_for(pipeline: Pipeline, statement: str, figure: str) -> None:
    pipeline.tamper(statement)
    assert figure in {difference.figure for difference in run(pipeline).differences}


def test_damaged_records_are_accounted_for(pipeline: Pipeline) -> None:
    pipeline.tamper("DELETE FROM receipts WHERE receipt = '3'")
    pipeline.tamper("INSERT INTO faults VALUES ('0:1', 1, 'bad checksum', NULL)")
    figures = {difference.figure for difference in run(pipeline).differences}
    assert "records of the log" not in figures


def test_a_running_engine_does_the_check(tmp_path: Path) -> None:
    report = Report(1, 2, 3, {"receipts": 3}, [Difference("sales", "day", "1", "2")])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            authorized = self.headers["Authorization"] == f"Bearer {token}"
            self.send_response((200 if authorized else 401) if self.path == "/api/v1/check" else 404)
            self.end_headers()
            self.wfile.write(msgspec.json.encode(report))

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    settings = Settings(data=str(tmp_path / "data"))
    directory = open_directory(settings.data_path)
    token = machine_token.token(directory, secrets.token_bytes)
    with directory.lock("engine") as lock, HTTPServer(("127.0.0.1", 0), Handler) as server:
        with pytest.raises(DatabaseUnavailable, match="it is still starting"):
            check.check(settings, open_read_side)
        lock.publish(f"http://127.0.0.1:{server.server_port}")
        serving = Thread(target=server.handle_request)
        serving.start()
        assert check.check(settings, open_read_side) == report
        serving.join()
        directory.machine_token.unlink()
        serving = Thread(target=server.handle_request)
        serving.start()
        with pytest.raises(DatabaseUnavailable, match="run this as the user of the engine"):
            check.check(settings, open_read_side)
        serving.join()
    with directory.lock("engine") as lock:
        lock.publish(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(DatabaseUnavailable, match="Connection refused"):
            check.check(settings, open_read_side)


def test_a_directory_without_an_engine_is_opened(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    with pytest.raises(DataDirectoryError, match="it does not exist"):
        check.check(settings, open_read_side)
    open_directory(settings.data_path)
    pipeline = Pipeline(settings.data_path)
    pipeline.append(body())
    pipeline.drain()
    pipeline.close()
    assert check.check(settings, open_read_side).counts["receipts"] == 1


def test_an_entry_missing_in_the_counts_by_reason_is_reported(pipeline: Pipeline) -> None:
    pipeline.tamper("DELETE FROM set_aside WHERE kind = 'refused'")
    (difference,) = run(pipeline).differences
    assert (difference.figure, difference.recounted) == ("entries of the quarantine", "1 by reason and source")
