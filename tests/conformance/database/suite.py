"""The contract of the database port. The test class of each backend inherits this suite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace as with_measures
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread

import pyarrow as pa
import pytest
from msgspec.structs import replace

from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import NOON_US, body
from tillstream.config.settings import Settings
from tillstream.database.base import VERSION, Changes, Database
from tillstream.engine.batches import records
from tillstream.errors import DatabaseUnavailable, PositionConflict, UnknownMetric
from tillstream.log.base import START, Position
from tillstream.metrics.catalogue import BUILT_IN, Metric, declare
from tillstream.quarantine.decisions import DISCARDED, REPLAYED, Decision, write_decisions

TOP = declare(
    "top",
    "The largest and smallest receipt of each store",
    "receipts",
    ["day", "store"],
    [
        {"name": "largest", "fold": "max", "column": "gross"},
        {"name": "smallest", "fold": "min", "column": "gross"},
        "receipts",
    ],
)


class DatabaseSuite:
    """Given commits of an engine, then the database has all of each commit or nothing of it."""

    def open(self, path: Path, settings: Settings | None = None, metrics: Sequence[Metric] = BUILT_IN) -> Database:
        raise NotImplementedError

    @pytest.fixture
    def database(self, tmp_path: Path) -> Iterator[Database]:
        database = self.open(tmp_path)
        yield database
        database.close()

    @pytest.fixture
    def pipeline(self, tmp_path: Path) -> Iterator[Pipeline]:
        """A pipeline with one receipt of 5.00 € in a database of this backend."""
        pipeline = Pipeline(tmp_path, metrics=[*BUILT_IN, TOP])
        pipeline.append(body())
        pipeline.drain()
        yield pipeline
        pipeline.close()

    def test_an_empty_database_starts_before_the_first_record(self, database: Database) -> None:
        assert database.position() == START

    def test_a_commit_moves_the_position_and_the_count_of_records(self, database: Database) -> None:
        database.commit(Changes(START, Position((4,)), records=9, committed_us=NOON_US))
        assert database.position() == Position((4,))
        assert database.query("SELECT records FROM state")[0]["records"] == 9

    def test_a_commit_from_another_position_is_refused_and_changes_nothing(self, database: Database) -> None:
        database.commit(Changes(START, Position((4,)), records=9))
        with pytest.raises(PositionConflict, match="its position is no longer -1"):
            database.commit(Changes(START, Position((5,)), records=1, counters={("2026-11-23", "duplicates"): 1}))
        assert database.position() == Position((4,))
        assert database.query("SELECT * FROM counters") == []

    def test_a_commit_that_fails_leaves_nothing_behind_and_the_next_one_works(self, database: Database) -> None:
        broken = pa.table({"nonsense": [1]})
        with pytest.raises(DatabaseUnavailable):
            database.commit(Changes(START, Position((1,)), records=1, receipts=broken))
        assert database.position() == START
        database.commit(Changes(START, Position((1,)), records=1))
        assert database.position() == Position((1,))

    def test_commits_survive_a_restart(self, pipeline: Pipeline) -> None:
        before = {metric.name: pipeline.rows(metric.name) for metric in pipeline.metrics}
        position = pipeline.database.position()
        pipeline.reopen()
        assert pipeline.database.position() == position
        assert {metric.name: pipeline.rows(metric.name) for metric in pipeline.metrics} == before

    def test_record_ids_are_of_stored_keys_only(self, pipeline: Pipeline) -> None:
        [chunk] = pipeline.log.read(START, 10)
        table = records([chunk])
        key = table["key"][0].as_py()
        keys = pa.table({"key": [key, "0" * 32], "sold_local": pa.array([datetime(2026, 11, 23, 11, 59, 58)] * 2)})
        assert pipeline.database.record_ids(keys) == {key: table["place"][0].as_py()}

    def test_partial_figures_merge_by_their_aggregate(self, pipeline: Pipeline) -> None:
        pipeline.append(body(cashReceiptID="2", documentTotal={"grossTotal": 7}))
        pipeline.drain()
        pipeline.append(body(cashReceiptID="3", documentTotal={"grossTotal": -1}))
        pipeline.drain()
        [row] = pipeline.rows("top")
        assert (row["largest"], row["smallest"], row["receipts"]) == (Decimal("7.00"), Decimal("-1.00"), 3)

    def test_verify_shows_both_sides_of_a_difference(self, pipeline: Pipeline) -> None:
        assert pipeline.verify("sales") == []
        self.spoil(pipeline.database, "sales", "revenue = revenue + 0.01")
        recount, metric = sorted(pipeline.verify("sales"), key=lambda row: row["revenue"])
        assert (recount["side"], recount["revenue"]) == ("recount", Decimal("5.00"))
        assert (metric["side"], metric["revenue"]) == ("metric", Decimal("5.01"))

    def test_a_rebuilt_metric_is_the_recount_of_the_stored_receipts(self, pipeline: Pipeline) -> None:
        self.spoil(pipeline.database, "sales_by_category", "revenue = 0")
        assert pipeline.database.rebuild("sales_by_category") == 2
        assert pipeline.verify("sales_by_category") == []

    def test_a_new_or_changed_metric_is_rebuilt_at_the_next_start(self, tmp_path: Path) -> None:
        pipeline = Pipeline(tmp_path, metrics=BUILT_IN)
        pipeline.append(body())
        pipeline.drain()
        pipeline.metrics = (*BUILT_IN, TOP)
        pipeline.reopen()
        assert pipeline.rows("top")[0]["largest"] == Decimal("5.00")
        pipeline.metrics = (*BUILT_IN, with_measures(TOP, measures=TOP.measures[:1]))
        pipeline.reopen()
        assert set(pipeline.rows("top")[0]) == {"day", "store", "largest"}
        pipeline.metrics = BUILT_IN
        pipeline.reopen()
        assert pipeline.rows("top")[0]["largest"] == Decimal("5.00")
        pipeline.append(body(cashReceiptID="2"))
        pipeline.drain()
        with pytest.raises(DatabaseUnavailable):
            pipeline.rows("top")
        pipeline.close()

    def test_an_unknown_metric_is_an_error_that_lists_the_known_ones(self, database: Database) -> None:
        with pytest.raises(UnknownMetric, match="no metric 'sails'; there are sales,"):
            database.rebuild("sails")

    def test_an_invalid_query_is_an_error(self, database: Database) -> None:
        with pytest.raises(DatabaseUnavailable, match="could not read the database"):
            database.query("SELECT nothing FROM nowhere")

    def test_the_quarantine_keeps_the_newest_within_its_quota_and_counts_the_rest(self, tmp_path: Path) -> None:
        pipeline = Pipeline(tmp_path, Settings(quarantine_limit_bytes=550))
        for number in range(4):
            pipeline.refuse(b"x" * 100, [{"path": "$", "error": str(number)}])
            pipeline.drain()
            pipeline.clock.advance(1)
        stored = pipeline.database.query("SELECT reasons FROM quarantine ORDER BY place")
        assert [json.loads(row["reasons"])[0]["error"] for row in stored] == ["2", "3"]
        assert pipeline.counter("quarantine_dropped") == 2
        assert pipeline.counter("quarantined") == 4
        pipeline.close()

    def test_a_resolved_entry_uses_no_quota_and_its_first_decision_wins(self, tmp_path: Path) -> None:
        pipeline = Pipeline(tmp_path, Settings(quarantine_limit_bytes=550))
        for number in range(4):
            pipeline.refuse(b"x" * 100, [{"path": "$", "error": str(number)}])
            pipeline.drain()
            [newest] = pipeline.database.query("SELECT max(place) AS place FROM quarantine")
            decision = Decision(newest["place"], date(2026, 11, 23), REPLAYED if number else DISCARDED, NOON_US)
            write_decisions(pipeline.database, [decision])
            write_decisions(pipeline.database, [replace(decision, decision="another")])
            pipeline.clock.advance(1)
        stored = pipeline.database.query(
            "SELECT decision, settled_day FROM quarantine JOIN decisions USING (place) ORDER BY place"
        )
        assert [row["decision"] for row in stored] == [DISCARDED, REPLAYED, REPLAYED, REPLAYED]
        assert {row["settled_day"] for row in stored} == {date(2026, 11, 23)}
        assert pipeline.counter("quarantine_dropped") == 0
        pipeline.close()

    def test_entries_are_counted_by_day_kind_reason_and_source(self, pipeline: Pipeline) -> None:
        for number in range(2):
            pipeline.refuse(b"x", [{"path": f"$.lines[{number}].quantity", "error": "it is missing"}])
        pipeline.append(body(documentTotal={"grossTotal": 9}))
        pipeline.drain()
        pipeline.refuse(b"x", [{"path": "$.lines[8].quantity", "error": "it is missing"}])
        pipeline.drain()
        counts = pipeline.database.query("SELECT day, kind, reason, source, entries FROM set_aside ORDER BY kind")
        assert [tuple(row.values()) for row in counts] == [
            (date(2026, 11, 23), "conflict", "$ conflict", "json/http", 1),
            (date(2026, 11, 23), "refused", "$.lines[].quantity missing", "json/http", 3),
        ]

    def test_a_commit_of_decisions_keeps_the_position_and_is_compare_and_set_too(self, pipeline: Pipeline) -> None:
        [before] = pipeline.database.query("SELECT position, records, committed_at FROM state")
        decision = Decision(7, date(2026, 11, 23), DISCARDED, NOON_US)
        write_decisions(pipeline.database, [decision])
        assert pipeline.database.query("SELECT position, records, committed_at FROM state") == [before]
        with pytest.raises(PositionConflict):
            pipeline.database.commit(Changes(START, START, records=0, decisions=[replace(decision, record_id=8).row()]))
        assert pipeline.database.query("SELECT place FROM decisions") == [{"place": 7}]

    def test_decisions_can_be_committed_beside_the_engine(self, pipeline: Pipeline) -> None:
        decisions = [Decision(number, date(2026, 11, 23), DISCARDED, NOON_US) for number in range(1, 6)]

        def decide() -> None:
            for each in decisions:
                write_decisions(pipeline.database, [each])

        deciding = Thread(target=decide)
        deciding.start()
        for number in range(2, 8):
            pipeline.append(body(cashReceiptID=str(number)))
            pipeline.drain()
        deciding.join()
        assert pipeline.rows("sales")[0]["receipts"] == 7
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)
        assert len(pipeline.database.query("SELECT place FROM decisions")) == len(decisions)

    def test_received_seconds_are_kept_for_the_last_minutes(self, pipeline: Pipeline) -> None:
        pipeline.clock.advance(400)
        pipeline.append(body(cashReceiptID="2"))
        pipeline.drain()
        assert [row["receipts"] for row in pipeline.database.query("SELECT * FROM received")] == [1]

    def test_readers_see_all_of_a_commit_or_nothing_while_the_writer_works(self, pipeline: Pipeline) -> None:
        torn: list[object] = []
        done = Event()

        def read() -> None:
            while not done.is_set():
                [row] = pipeline.database.query(
                    "SELECT (SELECT sum(revenue) FROM metric_sales_by_store) - (SELECT sum(revenue) FROM metric_sales)"
                    " AS difference"
                )
                if row["difference"]:
                    torn.append(row)

        reader = Thread(target=read)
        reader.start()
        for number in range(2, 12):
            pipeline.append(body(cashReceiptID=str(number)))
            pipeline.drain()
        done.set()
        reader.join()
        assert torn == []

    def test_a_reader_sees_one_commit_during_later_commits(self, pipeline: Pipeline) -> None:
        """A query long after the snapshot sees the same commit. No commit and no merge waits for the reader."""
        position = pipeline.database.position()
        with pipeline.database.snapshot() as reader:
            [before] = reader.query("SELECT receipts, revenue FROM metric_sales")
            for number in range(2, 6):
                pipeline.append(body(cashReceiptID=str(number)), body(cashReceiptID="1"))
                pipeline.refuse(b"{", [{"path": "$", "error": "broken off", "hint": ""}])
                pipeline.clock.advance(10)
                pipeline.drain()
            pipeline.database.rebuild("sales_by_store")
            assert pipeline.rows("sales")[0]["receipts"] == 5
            assert reader.query("SELECT receipts, revenue FROM metric_sales") == [before]
            assert reader.query("SELECT receipts FROM metric_sales_by_store") == [{"receipts": 1}]
            assert reader.query("SELECT receipt FROM receipts") == [{"receipt": "1"}]
            assert reader.query("SELECT * FROM counters") == reader.query("SELECT * FROM quarantine") == []
            assert reader.query("SELECT position FROM state") == [{"position": str(position)}]
            assert all(reader.verify(metric.name) == [] for metric in pipeline.metrics)
        assert pipeline.rows("sales_by_store")[0]["receipts"] == 5
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)

    def test_readers_do_not_disturb_each_other(self, pipeline: Pipeline) -> None:
        with pipeline.database.snapshot() as early:
            assert early.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 1}]
            pipeline.append(body(cashReceiptID="2"))
            pipeline.drain()
            with pipeline.database.snapshot() as late:
                assert late.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 2}]
            assert early.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 1}]

    def test_a_reader_cannot_write(self, pipeline: Pipeline) -> None:
        with pytest.raises(DatabaseUnavailable):
            pipeline.database.query("DELETE FROM receipts")
        assert pipeline.rows("sales")[0]["receipts"] == 1
        assert pipeline.database.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 1}]

    def test_another_currency_is_refused(self, pipeline: Pipeline, tmp_path: Path) -> None:
        pipeline.database.close()
        with pytest.raises(DatabaseUnavailable, match="its currency is EUR instead of USD"):
            self.open(tmp_path, Settings(currency="USD"))

    def test_another_version_is_refused_with_a_hint(self, database: Database, tmp_path: Path) -> None:
        self.tamper(database, f"UPDATE meta SET value = '{VERSION + 1}' WHERE name = 'version'")
        database.close()
        with pytest.raises(DatabaseUnavailable, match="tillstream rebuild"):
            self.open(tmp_path)

    def test_merged_and_unmerged_commits_give_the_same_figures(self, pipeline: Pipeline) -> None:
        for number in range(2, 14):
            pipeline.append(body(cashReceiptID=str(number)))
            pipeline.clock.advance(1)
            pipeline.drain()
            assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)
            assert pipeline.rows("sales")[0]["receipts"] == number
        pipeline.reopen()
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)
        assert pipeline.database.rebuild("sales_by_minute") == len(pipeline.rows("sales_by_minute"))
        assert pipeline.verify("sales_by_minute") == []

    def tamper(self, database: Database, sql: str) -> None:
        """Change stored rows with plain SQL."""
        raise NotImplementedError

    def spoil(self, database: Database, metric: str, assignment: str) -> None:
        """Change a metric's stored figures with plain SQL."""
        raise NotImplementedError
