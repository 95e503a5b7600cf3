"""A row of the log: one group commit as compressed frames of heads, bodies and originals with a checksum."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from tillstream.compression import unzstd
from tillstream.log.base import EMPTY, MAX_CHUNK_RECORDS, Chunk, Frame, FrameError, Position

_NUMBERS = struct.Struct("<qqq")

MIN_ROW_BYTES = 32
"""The size of the numbers and two empty zstd frames. It limits the number of rows in a file of a known size."""

MAX_FRAME_BYTES = 1 << 32
"""The largest unpacked frame, because its offsets have 32 bits."""


class Row(NamedTuple):
    """`total` counts the records up to and including this row; `originals` is None if all are empty.

    A row that was read from a damaged file may have values of any type, except for `position`.
    """

    position: int
    records: int
    total: int
    checksum: int
    heads: bytes
    bodies: bytes
    originals: bytes | None

    @property
    def previous_total(self) -> int:
        return self.total - self.records


def pack(
    position: int,
    total: int,
    heads: Sequence[bytes],
    bodies: Sequence[bytes],
    originals: Sequence[bytes],
    compress: Callable[[bytes], bytes],
) -> Row:
    """Pack records into a row; `compress` makes zstd frames."""
    packed_heads = compress(Frame.of(heads).pack())
    packed_bodies = compress(Frame.of(bodies).pack())
    packed_originals = compress(Frame.of(originals).pack()) if any(originals) else None
    row = Row(position, len(heads), total, 0, packed_heads, packed_bodies, packed_originals)
    return row._replace(checksum=checksum(row))


def checksum(row: Row) -> int:
    """CRC-32 of the row's numbers and its compressed blobs."""
    numbers = crc32(_NUMBERS.pack(row.position, row.records, row.total))
    return crc32(row.originals or b"", crc32(row.bodies, crc32(row.heads, numbers)))


def is_intact(row: Row) -> bool:
    """Whether all values have the right type and match the checksum."""
    numbers = (row.position, row.records, row.total, row.checksum)
    blobs = (row.heads, row.bodies, b"" if row.originals is None else row.originals)
    return (
        all(isinstance(number, int) for number in numbers)
        and all(isinstance(blob, bytes) for blob in blobs)
        and checksum(row) == row.checksum
    )


def plausible_records(row: Row, previous_total: int) -> int:
    """The likely number of records in a damaged row, from its numbers and the total before it."""
    for records in (_integer(row.total) - previous_total, _integer(row.records)):
        if 0 < records <= MAX_CHUNK_RECORDS:
            return records
    return 0


def total_after(row: Row, previous_total: int) -> int:
    """The number of records up to and including a row that may be damaged."""
    return row.total if is_intact(row) else previous_total + plausible_records(row, previous_total)


def weight(row: Row) -> int:
    """The number of records that the row counts for in a read; at least one, so that reads make progress."""
    return min(max(1, _integer(row.records)), MAX_CHUNK_RECORDS)


def size_bytes(row: Row) -> int:
    return sum(len(blob) for blob in (row.heads, row.bodies, row.originals) if isinstance(blob, bytes))


def unpack(row: Row) -> Chunk:
    """The records of the row; for a damaged row, a fault with the plausible number of records."""
    name = f"row {row.position} of the log"
    if not is_intact(row):
        return _fault(row.position, plausible_records(row, _integer(row.total)), f"{name} fails its checksum")
    try:
        heads, bodies = _unpack_frame(row.heads), _unpack_frame(row.bodies)
        originals = _unpack_frame(row.originals) if row.originals else _empty_items(len(heads))
    except (FrameError, ValueError) as error:
        reason = f"{name} cannot be unpacked: {error}"
        return _fault(row.position, plausible_records(row, row.previous_total), reason)
    if not len(heads) == len(bodies) == len(originals) == row.records:
        reason = f"{name} does not hold the {row.records} records that it counts"
        return _fault(row.position, plausible_records(row, row.previous_total), reason)
    return Chunk(0, row.position, row.records, Position((row.position,)), heads, bodies, originals)


def gap(last: int, row: Row, previous_total: int) -> Chunk:
    """A fault for the missing rows between position `last` and a row."""
    # If the row is damaged, the next intact row counts the missing records.
    missing = max(row.previous_total - previous_total, 0) if is_intact(row) else 0
    return _fault(row.position - 1, missing, f"rows {last + 1} to {row.position - 1} of the log are missing")


def _fault(position: int, records: int, reason: str) -> Chunk:
    return Chunk(0, position, records, Position((position,)), EMPTY, EMPTY, EMPTY, reason)


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0


def _unpack_frame(blob: bytes) -> Frame:
    return Frame.unpack(unzstd(blob, MAX_FRAME_BYTES))


def _empty_items(count: int) -> Frame:
    return Frame(b"", array("I", bytes(array("I").itemsize * (count + 1))))
