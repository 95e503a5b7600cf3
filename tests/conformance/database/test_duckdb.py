"""The embedded database passes the suite of the database port, and some tests about DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import duckdb
import pytest
from structlog.testing import capture_logs

from tests.conformance.database.suite import DatabaseSuite
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.database.base import Database
from tillstream.database.duckdb.database import DuckDatabase
from tillstream.errors import DatabaseUnavailable
from tillstream.metrics.catalogue import BUILT_IN, Metric


class TestDuckDatabase(DatabaseSuite):
    def open(self, path: Path, settings: Settings | None = None, metrics: Sequence[Metric] = BUILT_IN) -> DuckDatabase:
        return DuckDatabase(path / "store.duckdb", metrics, settings or Settings(), SystemClock())

    def tamper(self, database: Database, sql: str) -> None:
        assert isinstance(database, DuckDatabase)
        database._connection.execute(sql)

    def spoil(self, database: Database, metric: str, assignment: str) -> None:
        self.tamper(database, f"UPDATE merged_{metric} SET {assignment}")

    def test_a_file_of_another_kind_is_refused_in_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "store.duckdb").write_bytes(b"not a database" * 1000)
        with pytest.raises(DatabaseUnavailable, match="could not open the database"):
            self.open(tmp_path)

    def test_a_checkpoint_deferred_by_a_reader_is_made_after_a_later_commit(
        self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tillstream.database.duckdb.database._CHECKPOINT_BYTES", 100_000)
        pipeline.reopen()
        wal = pipeline.path / "store.duckdb.wal"

        def commit(first: int) -> None:
            pipeline.append(*(body(cashReceiptID=str(number)) for number in range(first, first + 2_000)))
            pipeline.drain()

        with pipeline.database.snapshot() as reader:
            assert reader.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 1}]
            for first in range(10_000, 20_000, 2_000):
                commit(first)
            assert reader.query("SELECT count(*) AS receipts FROM receipts") == [{"receipts": 1}]
            assert wal.stat().st_size > 200_000
        commit(20_000)
        assert not wal.exists() or wal.stat().st_size < 100_000
        assert pipeline.rows("sales")[0]["receipts"] == 12_001
        pipeline.reopen()
        assert pipeline.rows("sales")[0]["receipts"] == 12_001

    def test_a_failure_of_maintenance_is_logged_once_and_again_when_its_cause_changes(self, pipeline: Pipeline) -> None:
        def events(*, commits: int) -> list[tuple[str, str]]:
            with capture_logs() as logs:
                for _ in range(commits):
                    number = next(numbers)
                    pipeline.clock.advance(10)
                    pipeline.append(body(cashReceiptID=str(number)))
                    pipeline.drain()
            return [(each["event"], each.get("error", "")) for each in logs if each["event"].startswith("database.")]

        numbers = count(2)
        self.tamper(pipeline.database, "ALTER TABLE merged_sales RENAME TO away")
        [(event, error)] = events(commits=3)
        assert event == "database.maintenance_failed"
        assert "merged_sales" in error
        self.tamper(pipeline.database, "ALTER TABLE merged_sales_by_store RENAME TO away_too")
        self.tamper(pipeline.database, "ALTER TABLE away RENAME TO merged_sales")
        [(event, error)] = events(commits=2)
        assert event == "database.maintenance_failed"
        assert "merged_sales_by_store" in error
        self.tamper(pipeline.database, "ALTER TABLE away_too RENAME TO merged_sales_by_store")
        assert events(commits=2) == [("database.maintenance_recovered", "")]
        assert pipeline.rows("sales")[0]["receipts"] == 8
        assert all(pipeline.verify(metric.name) == [] for metric in pipeline.metrics)

    def test_the_file_can_be_opened_with_duckdb(self, tmp_path: Path) -> None:
        self.open(tmp_path).close()
        with duckdb.connect(str(tmp_path / "store.duckdb"), read_only=True) as connection:
            assert connection.execute("SELECT position FROM state").fetchall() == [("-1",)]
