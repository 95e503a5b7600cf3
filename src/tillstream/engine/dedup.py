"""Deduplication by key: a record with a known key is a duplicate (same content) or a conflict (other content)."""

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
    """A record whose key was already seen. `first` is the record id of the first record with this key."""

    record: dict[str, Any]
    first: int


class Deduplicator:
    """Finds records whose key was already seen, and compares each with the first record that has this key."""

    def __init__(self, log: Log, sql: BatchSql) -> None:
        self._log = log
        self._sql = sql

    def split(self, table: pa.Table, stored: Mapping[str, int]) -> tuple[pa.Table, list[Repeat]]:
        """Split a table of records into the first record of each key and the repeats.

        `stored` maps the keys that are already in the database to the record ids of their receipts. Records with such a
        key are repeats.
        """
        if not stored and len(pc.unique(table["key"])) == table.num_rows:
            return table, []
        first_ids = dict(stored)
        pairs = zip(table["key"].to_pylist(), table["place"].to_pylist(), strict=True)
        is_first = pa.array([first_ids.setdefault(key, record_id) == record_id for key, record_id in pairs])
        repeated = table.filter(pc.invert(is_first)).to_pylist()
        return table.filter(is_first), [Repeat(record, first_ids[record["key"]]) for record in repeated]

    def classify(self, repeats: Sequence[Repeat], quarantine: QuarantineRows) -> None:
        """Compare each repeat with the first record of its key, which is read from the log.

        Duplicates are counted, and conflicts are added to the quarantine.
        """
        for start in range(0, len(repeats), _PAGE_RECORDS):
            page = repeats[start : start + _PAGE_RECORDS]
            firsts = self._log.fetch([repeat.first for repeat in page])
            unequal = []
            for record, record_id in page:
                first = firsts.get(record_id)
                # If the log has lost the first record, its content is unknown, and the repeat counts as a duplicate.
                if first is None or first[1] == record["body"].encode():
                    quarantine.add_duplicate(record["received_us"])
                else:
                    unequal.append((record, first[1].decode()))
            # Bodies with different bytes may still have the same content.
            pairs = [(record["body"], first) for record, first in unequal]
            same = self._sql.same_content(pairs) if pairs else []
            for (record, _), is_same in zip(unequal, same, strict=True):
                if is_same:
                    quarantine.add_duplicate(record["received_us"])
                else:
                    quarantine.add_conflict(record)
