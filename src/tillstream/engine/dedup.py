"""Deduplication by key. A repeated record is a duplicate if its content equals the first one's, else a conflict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tillstream.engine.batches import BatchSql
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.log.base import Log

_PAGE_RECORDS = 512


class Repeat(NamedTuple):
    """A record whose key occurred before, and the record id of the first one with this key."""

    record: dict[str, Any]
    first: int


class Deduplicator:
    """Finds repeated keys, and compares the content of repeated records with the first ones."""

    def __init__(self, log: Log, sql: BatchSql) -> None:
        self._log = log
        self._sql = sql

    def split(self, table: pa.Table, stored: Mapping[str, int]) -> tuple[pa.Table, list[Repeat]]:
        """Split records into the first of each key and the repeated ones. `stored` are the record ids by key."""
        if not stored and len(pc.unique(table["key"])) == table.num_rows:
            return table, []
        first: dict[str, int] = dict(stored)
        new_rows = []
        repeated = []
        keys: list[str] = table["key"].to_pylist()
        record_ids: list[int] = table["place"].to_pylist()
        for row, (key, record_id) in enumerate(zip(keys, record_ids, strict=True)):
            if first.setdefault(key, record_id) == record_id:
                new_rows.append(row)
            else:
                repeated.append((row, first[key]))
        records = table.take(pa.array([row for row, _ in repeated], pa.int64())).to_pylist()
        repeats = [Repeat(record, first) for record, (_, first) in zip(records, repeated, strict=True)]
        return table.take(pa.array(new_rows, pa.int64())), repeats

    def classify(self, repeated: Sequence[Repeat], quarantine: QuarantineRows) -> None:
        """Count duplicates, and quarantine conflicts. The first records are read from the log."""
        for start in range(0, len(repeated), _PAGE_RECORDS):
            page = repeated[start : start + _PAGE_RECORDS]
            firsts = self._log.fetch([record_id for _, record_id in page])
            unequal = []
            for record, record_id in page:
                first = firsts.get(record_id)
                # If the log has lost the first record, there is nothing to compare: an equal key is a duplicate.
                if first is None or first[1] == record["body"].encode():
                    quarantine.add_duplicate(record["received_us"])
                else:
                    unequal.append((record, first[1].decode()))
            # Bodies that differ in bytes may still have the same content.
            same = self._sql.same_content([(record["body"], first) for record, first in unequal])
            for (record, _), is_same in zip(unequal, same, strict=True):
                if is_same:
                    quarantine.add_duplicate(record["received_us"])
                else:
                    quarantine.add_conflict(record)
