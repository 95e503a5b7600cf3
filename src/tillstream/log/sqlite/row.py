"""A group commit as one row: frames of heads, bodies and originals, compressed, under one checksum."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from tillstream.compression import unzstd
from tillstream.log.base import MOST_RECORDS, Chunk, Position
from tillstream.log.frame import EMPTY, Frame, FrameError

_NUMBERS = struct.Struct("<qqq")


LEAST_ROW_BYTES = 32
"""No row takes less: its numbers and two zstd frames. So a file's size bounds how many rows it has."""

MOST_FRAME_BYTES = 1 << 32
"""No frame unpacks to more, for its offsets have 32 bits."""


class Row(NamedTuple):
    """`total` counts the records up to and with this row; `originals` is None where all are empty.

    A row that was read back may be damaged: then any column but `position` may be of any type.
    """

    position: int
    records: int
    total: int
    checksum: int
    heads: bytes
    bodies: bytes
    originals: bytes | None

    @property
    def before(self) -> int:
        """How many records stand before this row."""
        return self.total - self.records


def pack(
    position: int,
    total: int,
    heads: Sequence[bytes],
    bodies: Sequence[bytes],
    originals: Sequence[bytes],
    compress: Callable[[bytes], bytes],
) -> Row:
    """The row of these records; `compress` makes zstd frames."""
    packed_heads = compress(Frame.of(heads).pack())
    packed_bodies = compress(Frame.of(bodies).pack())
    packed_originals = compress(Frame.of(originals).pack()) if any(originals) else None
    row = Row(position, len(heads), total, 0, packed_heads, packed_bodies, packed_originals)
    return row._replace(checksum=checksum(row))


def checksum(row: Row) -> int:
    """CRC-32 over the row's numbers and its blobs as they are stored."""
    numbers = crc32(_NUMBERS.pack(row.position, row.records, row.total))
    return crc32(row.originals or b"", crc32(row.bodies, crc32(row.heads, numbers)))


def is_sound(row: Row) -> bool:
    """Whether the row is as it was packed."""
    numbers = (row.position, row.records, row.total, row.checksum)
    blobs = (row.heads, row.bodies, b"" if row.originals is None else row.originals)
    return (
        all(isinstance(number, int) for number in numbers)
        and all(isinstance(blob, bytes) for blob in blobs)
        and checksum(row) == row.checksum
    )


def believed(row: Row, total: int) -> int:
    """How many records a damaged row had that follows `total` others, as far as its numbers make sense."""
    for records in (_number(row.total) - total, _number(row.records)):
        if 0 < records <= MOST_RECORDS:
            return records
    return 0


def weight(row: Row) -> int:
    """The row's records as a share of what a reader wants: at least one, so that reading comes to an end."""
    return min(max(1, _number(row.records)), MOST_RECORDS)


def size_bytes(row: Row) -> int:
    return sum(len(blob) for blob in (row.heads, row.bodies, row.originals) if isinstance(blob, bytes))


def unpack(row: Row) -> Chunk:
    """The row as readers get it: its records, or its fault, whatever stands in its columns.

    The count of a fault is what the row itself says, where that makes sense.
    """
    name = f"row {row.position} of the log"
    if not is_sound(row):
        return _fault(row.position, believed(row, _number(row.total)), f"{name} fails its checksum")
    try:
        heads, bodies = _frame(row.heads), _frame(row.bodies)
        originals = _frame(row.originals) if row.originals else _nothing(len(heads))
    except (FrameError, ValueError) as error:
        return _fault(row.position, believed(row, row.before), f"{name} cannot be unpacked: {error}")
    if not len(heads) == len(bodies) == len(originals) == row.records:
        reason = f"{name} has not the {row.records} records that it counts"
        return _fault(row.position, believed(row, row.before), reason)
    return Chunk(0, row.position, row.records, Position((row.position,)), heads, bodies, originals)


def gap(last: int, row: Row, total: int) -> Chunk:
    """What stands for the rows missing between `last`, up to which `total` records were, and `row`."""
    # Behind a damaged row comes a sound one at last, and what is missing is counted there.
    missing = max(row.before - total, 0) if is_sound(row) else 0
    return _fault(row.position - 1, missing, f"rows {last + 1} to {row.position - 1} of the log are missing")


def _fault(position: int, records: int, reason: str) -> Chunk:
    return Chunk(0, position, records, Position((position,)), EMPTY, EMPTY, EMPTY, reason)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _frame(blob: bytes) -> Frame:
    return Frame.unpack(unzstd(blob, MOST_FRAME_BYTES))


def _nothing(records: int) -> Frame:
    return Frame(b"", array("I", bytes(array("I").itemsize * (records + 1))))
