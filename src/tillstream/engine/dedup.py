"""Receipts whose key returns: a duplicate has the content of the first, a conflict has another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tillstream.engine.duckdb_sql import BatchSql
from tillstream.engine.quarantine_rows import QuarantineRows
from tillstream.log.base import Log

_PAGE = 512


class Repeat(NamedTuple):
    """A record whose key was there before, and the place of the first with this key."""

    record: dict[str, Any]
    first: int


class Deduplicator:
    """Tells the first of a key from those that return, and these by their content."""

    def __init__(self, log: Log, sql: BatchSql) -> None:
        self._log = log
        self._sql = sql

    def split(self, table: pa.Table, known: Mapping[str, int]) -> tuple[pa.Table, list[Repeat]]:
        """The rows that are the first of their key, and the others."""
        if not known and len(pc.unique(table["key"])) == table.num_rows:
            return table, []
        first: dict[str, int] = dict(known)
        keep = []
        repeated = []
        keys: list[str] = table["key"].to_pylist()
        places: list[int] = table["place"].to_pylist()
        for row, (key, place) in enumerate(zip(keys, places, strict=True)):
            if first.setdefault(key, place) == place:
                keep.append(row)
            else:
                repeated.append((row, first[key]))
        rows = table.take(pa.array([row for row, _ in repeated], pa.int64()))
        repeats = [Repeat(*each) for each in zip(rows.to_pylist(), (first for _, first in repeated), strict=True)]
        return table.take(pa.array(keep, pa.int64())), repeats

    def judge(self, repeated: Sequence[Repeat], aside: QuarantineRows) -> None:
        """Count the duplicates and set the conflicts aside. Reads the firsts back from the log."""
        for start in range(0, len(repeated), _PAGE):
            page = repeated[start : start + _PAGE]
            firsts = self._log.fetch([place for _, place in page])
            doubtful = []
            for record, place in page:
                first = firsts.get(place)
                # A first that was trimmed or damaged cannot be compared; its key alone decides then.
                if first is None or first[1] == record["body"].encode():
                    aside.duplicate(record["received_us"])
                else:
                    doubtful.append((record, first[1].decode()))
            same = self._sql.same_content([(record["body"], first) for record, first in doubtful])
            for (record, _), alike in zip(doubtful, same, strict=True):
                if alike:
                    aside.duplicate(record["received_us"])
                else:
                    aside.conflict(record)
