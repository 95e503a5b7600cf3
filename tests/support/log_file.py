"""An independent reader of the SQLite log, written from the documented format.

A row is one group commit. It has the rowid, the number of its records, the total number of records so far, a checksum,
and three frames compressed with zstd. The checksum is the CRC-32 of the three numbers (little-endian, 64 bits) and the
compressed frames. A frame has the number of its items, the end offset of each item (little-endian, 32 bits), and the
items.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import zstandard

COLUMNS = ("kind", "key", "received_us", "day", "date", "store", "terminal", "receipt", "source", "notes")
"""The columns of a head. A head is one line with columns separated by tabs."""


class Record(NamedTuple):
    head: bytes
    body: bytes
    original: bytes

    @property
    def columns(self) -> dict[str, str]:
        """The head's columns by name."""
        assert self.head.endswith(b"\n")
        return dict(zip(COLUMNS, self.head.decode()[:-1].split("\t"), strict=True))


def records(path: Path, after: int = 0) -> tuple[int, list[Record]]:
    """The records of all rows after the rowid `after`, and the last rowid."""
    found: list[Record] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        sql = "SELECT rowid, count, total, checksum, heads, bodies, originals FROM log WHERE rowid > ? ORDER BY rowid"
        for row in connection.execute(sql, (after,)):
            found += _row(*row)
            after = row[0]
    return after, found


def _row(
    rowid: int, count: int, total: int, checksum: int, heads: bytes, bodies: bytes, originals: bytes | None
) -> Iterator[Record]:
    assert checksum == crc32(struct.pack("<qqq", rowid, count, total) + heads + bodies + (originals or b""))
    columns = [_frame(heads), _frame(bodies), [b""] * count if originals is None else _frame(originals)]
    assert [len(column) for column in columns] == [count] * 3
    return (Record(*parts) for parts in zip(*columns, strict=True))


def _frame(packed: bytes) -> list[bytes]:
    frame = zstandard.decompress(packed)
    (count,) = struct.unpack_from("<I", frame)
    ends = struct.unpack_from(f"<{count}I", frame, 4)
    data = frame[4 + 4 * count :]
    assert len(data) == (ends[-1] if ends else 0)
    return [data[start:end] for start, end in zip((0, *ends), ends, strict=False)]
