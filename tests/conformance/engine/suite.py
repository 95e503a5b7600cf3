"""The contract of the engine port. The test class of each backend inherits this suite."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.stored_metrics import assert_metrics_equal
from tests.support.receipts import NOON_US, body
from tests.support.recount import recount
from tests.support.waiting import wait_until
from tillstream.config.settings import Settings
from tillstream.errors import DatabaseUnavailable, LogUnavailable, PositionConflict
from tillstream.log.base import Position

EUR = Decimal


def numbered(count: int, **changes: object) -> list[dict[str, object]]:
    return [body(cashReceiptID=str(number), **changes) for number in range(1, count + 1)]


class EngineSuite:
    """Given receipts in a log, when the engine has processed them, then the database has their figures."""

    def make(self, path: Path, settings: Settings | None = None) -> Pipeline:
        raise NotImplementedError

    @pytest.fixture
    def pipeline(self, tmp_path: Path) -> Iterator[Pipeline]:
        pipeline = self.make(tmp_path)
        yield pipeline
        pipeline.close()

    def anomalies(self, pipeline: Pipeline) -> list[str]:
        pipeline.drain()
        return [row["anomalies"] for row in pipeline.database.query("SELECT anomalies FROM receipts ORDER BY place")]

    def test_an_empty_log_gives_no_step(self, pipeline: Pipeline) -> None:
        assert pipeline.engine.step() is None

    def test_every_figure_of_many_commits_equals_a_plain_recount(self, pipeline: Pipeline) -> None:
        receipts = numbered(50)
        for start in range(0, 50, 7):
            pipeline.append(*receipts[start : start + 7])
        pipeline.drain()
        assert_metrics_equal(pipeline, recount((json.dumps(each).encode(), "2026-11-23") for each in receipts))
        assert pipeline.rows("sales")[0]["revenue"] == EUR("250.00")

    def test_a_batch_limit_makes_several_steps_with_the_same_figures(self, tmp_path: Path) -> None:
        pipeline = self.make(tmp_path, Settings(engine_batch_receipts=10))
        for each in numbered(35):
            pipeline.append(each)
        assert len(pipeline.drain()) == 4
        assert pipeline.rows("sales")[0]["receipts"] == 35
        pipeline.close()

    def test_a_repeated_receipt_counts_once(self, pipeline: Pipeline) -> None:
        pipeline.append(*numbered(3), *numbered(3))
        pipeline.drain()
        pipeline.append(*reversed(numbered(3)))
        pipeline.drain()
        pipeline.reopen()
        pipeline.append(*numbered(3))
        pipeline.drain()
        assert pipeline.rows("sales")[0]["receipts"] == 3
        assert pipeline.counter("duplicates") == 9
        assert pipeline.counter("conflicts") == 0

    def test_the_same_content_in_another_notation_is_a_duplicate(self, pipeline: Pipeline) -> None:
        receipt = body()
        reordered = dict(reversed(list(receipt.items()))) | {"storeID": 12, "extra": [1, {"deep": None}]}
        reordered["documentTotal"] = {"taxPayable": "0.36", "grossTotal": "5.000000000000001", "netTotal": 4.64}
        pipeline.append(receipt)
        pipeline.append(reordered)
        pipeline.drain()
        assert pipeline.counter("duplicates") == 1

    def test_other_content_under_the_same_key_is_a_conflict_and_the_first_counts(self, pipeline: Pipeline) -> None:
        pipeline.append(body())
        pipeline.append(body(customerID="43"), body(documentTotal={"grossTotal": 6}))
        pipeline.drain()
        entries = pipeline.database.query("SELECT kind, key FROM quarantine")
        assert [row["kind"] for row in entries] == ["conflict", "conflict"]
        assert pipeline.counter("conflicts") == 2
        assert pipeline.rows("sales")[0]["revenue"] == EUR("5.00")

    def test_one_key_on_two_dates_is_two_receipts(self, pipeline: Pipeline) -> None:
        pipeline.append(body(), body(date="2026-11-22 11:59:58"))
        pipeline.drain()
        assert [row["receipts"] for row in pipeline.rows("sales")] == [1, 1]

    def test_a_late_receipt_counts_in_its_own_day(self, pipeline: Pipeline) -> None:
        pipeline.append(body(date="2017-11-18 20:39:32"))
        pipeline.drain()
        assert str(pipeline.rows("sales")[0]["day"]) == "2017-11-18"

    def test_a_refusal_goes_to_quarantine_with_its_reasons(self, pipeline: Pipeline) -> None:
        reasons = [{"path": "$.storeID", "error": "missing", "hint": "add it\tthere"}]
        pipeline.refuse(b"{}", reasons)
        pipeline.append(body())
        pipeline.drain()
        [entry] = pipeline.database.query("SELECT * FROM quarantine")
        assert (entry["kind"], json.loads(entry["reasons"]), entry["size_bytes"]) == ("refused", reasons, 2)
        assert pipeline.counter("quarantined") == 1
        assert pipeline.rows("sales")[0]["receipts"] == 1

    @pytest.mark.parametrize(
        "written",
        [b"{broken", b'{"documentTotal": {"grossTotal": "abc"}}', b"[]", b"null", b"", b'"text"'],
    )
    def test_an_unreadable_record_goes_to_quarantine_and_does_not_stop_the_engine(
        self, pipeline: Pipeline, written: bytes
    ) -> None:
        pipeline.append(body(cashReceiptID="1"))
        pipeline.append_bytes(body(cashReceiptID="2"), written)
        pipeline.append(body(cashReceiptID="3"))
        pipeline.drain()
        assert pipeline.rows("sales")[0]["receipts"] == 2
        assert [row["kind"] for row in pipeline.database.query("SELECT kind FROM quarantine")] == ["unreadable"]

    @pytest.mark.parametrize(
        "lines",
        [
            [{"settlementAmount": 9999999999999}] * 1_002,
            [{"creditAmount": 9999999999999, "taxPercentage": 99999}],
            [{"quantity": 9999999999999}] * 1_000,
        ],
    )
    def test_absurd_amounts_do_not_stop_the_engine(self, pipeline: Pipeline, lines: list[dict[str, object]]) -> None:
        pipeline.append(body(cashReceiptID="1"), body(cashReceiptID="2", lines=lines), body(cashReceiptID="3"))
        pipeline.drain()
        receipts = pipeline.rows("sales")[0]["receipts"]
        quarantined = len(pipeline.database.query("SELECT kind FROM quarantine"))
        assert receipts + quarantined == 3
        assert receipts >= 2
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)

    def test_the_total_of_a_day_may_exceed_the_limit_of_an_amount(self, pipeline: Pipeline) -> None:
        large = {"grossTotal": "9999999999999.99", "netTotal": 0, "taxPayable": 0}
        for start in (0, 600):
            pipeline.append(
                *(body(cashReceiptID=str(start + number), documentTotal=large, lines=[]) for number in range(600))
            )
            pipeline.drain()
        assert pipeline.rows("sales")[0]["revenue"] == EUR("9999999999999.99") * 1_200

    def test_the_rest_of_a_total_that_lines_do_not_cover_is_unallocated(self, pipeline: Pipeline) -> None:
        pipeline.append(body(documentTotal={"grossTotal": 7.5, "netTotal": 7, "taxPayable": 0.5}))
        pipeline.drain()
        categories = {row["category"]: row for row in pipeline.rows("sales_by_category")}
        assert categories["(unallocated)"]["revenue"] == EUR("2.50")
        assert categories["(unallocated)"]["lines"] == 0
        assert sum(row["revenue"] for row in categories.values()) == EUR("7.50")
        assert sum(row["net"] for row in categories.values()) == EUR("7.00")

    def test_a_receipt_of_the_four_required_fields_counts(self, pipeline: Pipeline) -> None:
        pipeline.append(
            {"cashReceiptID": 1, "storeID": 2, "date": "2026-11-23 10:00:00", "documentTotal": {"grossTotal": "0.3"}}
        )
        pipeline.drain()
        [row] = pipeline.rows("sales")
        assert (row["revenue"], row["net"], row["tax"]) == (EUR("0.30"), EUR("0.30"), EUR("0.00"))

    def test_ids_may_exceed_64_bits(self, pipeline: Pipeline) -> None:
        number = 123456789012345678901234567890
        pipeline.append(body(cashReceiptID=number))
        pipeline.drain()
        assert pipeline.database.query("SELECT receipt FROM receipts")[0]["receipt"] == str(number)

    def test_the_largest_amounts_are_exact(self, pipeline: Pipeline) -> None:
        large = "9999999999999.99"
        pipeline.append(body(documentTotal={"grossTotal": large}, lines=[], settlements=[]))
        pipeline.append(body(cashReceiptID="2", documentTotal={"grossTotal": "-" + large}, lines=[]))
        pipeline.drain()
        assert pipeline.rows("sales")[0]["revenue"] == EUR("0.00")
        assert max(row["gross"] for row in pipeline.database.query("SELECT gross FROM receipts")) == EUR(large)

    def test_a_weighed_line_counts_as_one_item_and_a_return_as_negative(self, pipeline: Pipeline) -> None:
        line = body()["lines"][0]
        weighed = [line | {"quantity": 0.42}, line | {"quantity": 3, "unitOfMeasure": "kg"}, line | {"quantity": -0.5}]
        pipeline.append(body(lines=[*weighed, line | {"quantity": -2}]))
        pipeline.drain()
        assert pipeline.rows("sales")[0]["quantity"] == 1 + 1 - 1 - 2

    def test_a_sound_receipt_has_no_anomaly(self, pipeline: Pipeline) -> None:
        pipeline.append(body())
        assert self.anomalies(pipeline) == [""]

    @pytest.mark.parametrize(
        ("changes", "found"),
        [
            ({"documentTotal": {"grossTotal": 5.03, "netTotal": 4.67, "taxPayable": 0.36}}, "lines_total,settlements_short"),
            ({"documentTotal": {"grossTotal": 5, "netTotal": 4, "taxPayable": 0.36}}, "tax_total"),
            ({"settlements": [{"settlementAmount": 4.99}]}, "settlements_short"),
            ({"settlements": [{"settlementAmount": 20}]}, ""),
            ({"settlements": []}, ""),
            ({"documentTotal": {"grossTotal": "5.004", "netTotal": 4.64, "taxPayable": 0.36}}, "finer_amount"),
            ({"documentTotal": {"grossTotal": 5.0000000000000003, "netTotal": 4.64, "taxPayable": 0.36}}, ""),
            ({"date": "2026-11-23 12:09:00"}, ""),
            ({"date": "2026-11-23 12:11:00"}, "clock_ahead"),
        ],
    )  # fmt: skip
    def test_anomalies_are_named(self, pipeline: Pipeline, changes: dict[str, object], found: str) -> None:
        pipeline.append(body(**changes))
        assert self.anomalies(pipeline) == [found]

    def test_a_simulated_receipt_has_no_clock_anomaly_and_no_delay(self, pipeline: Pipeline) -> None:
        pipeline.append(body(date="2026-11-23 18:00:00"), source="json/http/simulated")
        assert self.anomalies(pipeline) == [""]
        [row] = pipeline.rows("delays")
        assert (row["ingest_bucket"], row["till_bucket"]) == (-1, -1)

    def test_a_clock_a_day_ahead_is_flagged_as_ingest_noted(self, pipeline: Pipeline) -> None:
        pipeline.append(body(date="2026-11-30 18:00:00"), day="2026-11-23", notes="clock_ahead_a_day")
        assert self.anomalies(pipeline) == ["clock_ahead,clock_ahead_a_day"]
        assert str(pipeline.rows("sales")[0]["day"]) == "2026-11-23"

    def test_an_unlisted_vat_rate_is_an_anomaly_if_rates_are_set(self, tmp_path: Path) -> None:
        pipeline = self.make(tmp_path, Settings(vat_rates=["5.5", "20"]))
        line = body()["lines"][0]
        pipeline.append(body(), body(cashReceiptID="2", lines=[line | {"settlementAmount": 5, "creditAmount": 4.64}]))
        assert self.anomalies(pipeline) == ["vat_rate", ""]
        pipeline.close()

    @pytest.mark.parametrize(
        ("received", "sold_at"),
        [("2026-10-25T00:31:00+00:00", "2026-10-25 00:30:00"), ("2026-10-25T01:31:00+00:00", "2026-10-25 01:30:00")],
    )
    def test_a_local_hour_that_occurs_twice_is_resolved_by_the_time_of_receipt(
        self, pipeline: Pipeline, received: str, sold_at: str
    ) -> None:
        receipt = body(date="2026-10-25 02:30:00")
        pipeline.clock.advance((datetime.fromisoformat(received).timestamp() * 1e6 - NOON_US) / 1e6)
        pipeline.append(receipt)
        pipeline.drain()
        assert str(pipeline.database.query("SELECT sold_at FROM receipts")[0]["sold_at"]) == sold_at

    def test_a_store_may_have_its_own_time_zone(self, tmp_path: Path) -> None:
        pipeline = self.make(tmp_path, Settings(store_zones={"12": "Indian/Reunion"}))
        pipeline.append(body(), body(storeID="13"))
        pipeline.drain()
        rows = pipeline.database.query("SELECT sold_at FROM receipts ORDER BY store")
        assert [str(row["sold_at"]) for row in rows] == ["2026-11-23 07:59:58", "2026-11-23 10:59:58"]
        pipeline.close()

    def test_a_second_engine_on_one_database_is_refused(self, pipeline: Pipeline, tmp_path: Path) -> None:
        pipeline.append(*numbered(2))
        assert pipeline.engine.step() is not None
        stale = pipeline.engine
        pipeline.append(*numbered(4))
        stale_position = pipeline.database.position()
        assert stale.step() is not None
        stale._position = stale_position
        with pytest.raises(PositionConflict):
            stale.step()
        assert pipeline.rows("sales")[0]["receipts"] == 4

    def test_a_crash_between_a_commit_and_its_publication_leaves_no_position_to_reuse(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline.append(*numbered(2))
        published: list[tuple[Position, bool]] = []

        def die(position: Position, *, committed: bool) -> None:
            published.append((position, committed))
            if committed:
                raise LogUnavailable("publish a position in", "the log", "the power is gone")

        monkeypatch.setattr(pipeline.log, "publish", die)
        with pytest.raises(LogUnavailable):
            pipeline.engine.step()
        assert published == [(pipeline.database.position(), False), (pipeline.database.position(), True)]
        monkeypatch.undo()
        assert pipeline.log.lag() == 2
        pipeline.reopen()
        assert pipeline.log.lag() == 0
        assert pipeline.engine.step() is None
        assert pipeline.rows("sales")[0]["receipts"] == 2

    def test_a_step_that_crashed_before_its_commit_is_repeated(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline.append(*numbered(2))

        def die(changes: object) -> None:
            raise DatabaseUnavailable("write to", "the database", "the power is gone")

        monkeypatch.setattr(pipeline.database, "commit", die)
        with pytest.raises(DatabaseUnavailable):
            pipeline.engine.step()
        monkeypatch.undo()
        assert pipeline.log.lag() == 2
        pipeline.reopen()
        pipeline.drain()
        assert (pipeline.log.lag(), pipeline.rows("sales")[0]["receipts"]) == (0, 2)

    def test_it_stalls_while_the_log_cannot_be_read_and_resumes_by_itself(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pipeline.append(*numbered(2))
        failing, committed, stop = Event(), Event(), Event()

        def fail(after: Position, limit: int) -> NoReturn:
            failing.set()
            raise LogUnavailable("read the log", "a file", "disk I/O error", "look at the disk")

        monkeypatch.setattr(pipeline.log, "read", fail)
        assert pipeline.engine.failure() is None
        runner = Thread(target=pipeline.engine.run, args=(stop, lambda _: committed.set()))
        runner.start()
        try:
            assert failing.wait(30)
            wait_until(lambda: pipeline.engine.failure() is not None, "it reports that it is stalled")
            assert "disk I/O error" in str(pipeline.engine.failure())
            monkeypatch.undo()
            assert committed.wait(30)
            wait_until(lambda: pipeline.engine.failure() is None, "it resumes")
        finally:
            stop.set()
            runner.join(30)
        assert pipeline.rows("sales")[0]["receipts"] == 2

    def test_every_metric_equals_its_recount(self, pipeline: Pipeline) -> None:
        pipeline.append(*numbered(20))
        pipeline.drain()
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)
