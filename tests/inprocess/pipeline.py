"""A log, an engine and a database in the test process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.inprocess.clock import ManualClock
from tests.support.receipts import NOON_US
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Row
from tillstream.database.duckdb.database import DuckDatabase
from tillstream.engine.base import Step
from tillstream.engine.duckdb import DuckEngine
from tillstream.log.base import Batch, Log
from tillstream.log.sqlite.log import SqliteLog
from tillstream.metrics.catalogue import Metric, catalogue
from tillstream.receipt.model import HEAD_COLUMNS, RECEIPT, REFUSAL, receipt_key
from tillstream.stores.model import Store, StoreList
from tillstream.stores.repository import StoreRepository
from tillstream.stores.repository import write as write_shops


def head(receipt: Mapping[str, Any], received_us: int, **changes: str) -> bytes:
    """The head that ingest writes for a receipt. `changes` replace columns."""
    store, till = str(receipt["storeID"]), str(receipt.get("terminalID") or "-")
    number, date = str(receipt["cashReceiptID"]), str(receipt["date"])
    columns = {
        "kind": RECEIPT,
        "key": receipt_key(store, till, number, date),
        "received_us": str(received_us),
        "day": date[:10],
        "date": date,
        "store": store,
        "terminal": till,
        "receipt": number,
        "source": "json/http",
        "notes": "",
        **changes,
    }
    return ("\t".join(columns[name] for name in HEAD_COLUMNS) + "\n").encode()


class Pipeline:
    """A data directory with a log, an engine and a database, and a manual clock. By default the log is in SQLite."""

    def __init__(
        self,
        path: Path,
        settings: Settings | None = None,
        metrics: Sequence[Metric] | None = None,
        log: Log | None = None,
    ) -> None:
        self.path = path
        self.settings = settings or Settings()
        self.clock = ManualClock(NOON_US)
        self.shops = StoreRepository(path / "shops.json", self.clock)
        self.metrics = catalogue() if metrics is None else tuple(metrics)
        self.log: Log = log or SqliteLog(path / "log.sqlite3", writer=True, settings=self.settings)
        self.database: Database = self._open_database()
        self.engine = DuckEngine(self.log, self.database, self.settings, self.clock)

    def _open_database(self) -> DuckDatabase:
        return DuckDatabase(self.path / "store.duckdb", self.metrics, self.settings, self.clock)

    def reopen(self) -> None:
        """Close the engine and the database and open them again, like a restart of their process."""
        self.engine.close()
        self.database.close()
        self.database = self._open_database()
        self.engine = DuckEngine(self.log, self.database, self.settings, self.clock)

    def set_shops(self, *shops: Store) -> None:
        """Replace the list of shops."""
        write_shops(self.path / "shops.json", StoreList({shop.id: shop for shop in shops}))
        self.clock.advance(1)

    def append(self, *receipts: Mapping[str, Any], **head_changes: str) -> None:
        """Append receipts of the current time in one group commit."""
        batch = Batch()
        for receipt in receipts:
            batch.add(head(receipt, self.clock.now_us(), **head_changes), json.dumps(receipt).encode())
        self.log.append(batch)

    def append_bytes(self, receipt: Mapping[str, Any], body: bytes) -> None:
        """Append a record with the head of `receipt` and this body."""
        batch = Batch()
        batch.add(head(receipt, self.clock.now_us()), body)
        self.log.append(batch)

    def refuse(self, original: bytes, reasons: Sequence[Mapping[str, str]]) -> None:
        """Append a rejected body with its reasons."""
        batch = Batch()
        columns = dict.fromkeys(HEAD_COLUMNS, "") | {
            "kind": REFUSAL,
            "received_us": str(self.clock.now_us()),
            "day": "2026-11-23",
            "source": "json/http",
            "notes": msgspec.json.encode(reasons).decode(),
        }
        batch.add(("\t".join(columns[name] for name in HEAD_COLUMNS) + "\n").encode(), b"", original)
        self.log.append(batch)

    def drain(self) -> list[Step]:
        """Run steps until the end of the log."""
        steps = []
        while (step := self.engine.step()) is not None:
            steps.append(step)
        return steps

    def rows(self, metric: str) -> list[Row]:
        return self.database.query(f"SELECT * FROM metric_{metric} ORDER BY ALL")

    def verify(self, metric: str) -> list[Row]:
        """The rows that differ between the metric and a recount of the stored receipts."""
        with self.database.snapshot() as reader:
            return reader.verify(metric)

    def tamper(self, statement: str) -> None:
        """Change stored rows with SQL."""
        assert isinstance(self.database, DuckDatabase)
        self.database._connection.execute(statement)

    def counter(self, name: str) -> int:
        rows = self.database.query("SELECT coalesce(sum(value), 0) AS total FROM counters WHERE name = ?", [name])
        return int(rows[0]["total"])

    def close(self) -> None:
        self.engine.close()
        self.database.close()
        self.log.close()
