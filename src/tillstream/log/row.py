"""A group commit as one row: frames of heads, bodies and originals, compressed, under one checksum."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

import zstandard

from tillstream.log.base import Chunk, Position
from tillstream.log.frame import EMPTY, Frame, FrameError

_NUMBERS = struct.Struct("<qqq")


class Row(NamedTuple):
    """`total` counts the records up to and with this row; `originals` is None where all are empty."""

    position: int
    records: int
    total: int
    checksum: int
    heads: bytes
    bodies: bytes
    originals: bytes | None


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


def unpack(row: Row) -> Chunk:
    """The row as readers get it: its records, or its fault."""
    name = f"row {row.position} of the log"
    if checksum(row) != row.checksum:
        return _fault(row.position, row.records, f"{name} fails its checksum")
    try:
        heads, bodies = _frame(row.heads), _frame(row.bodies)
        originals = _nothing(row.records) if row.originals is None else _frame(row.originals)
    except (FrameError, zstandard.ZstdError) as error:
        return _fault(row.position, row.records, f"{name} cannot be unpacked: {error}")
    if not len(heads) == len(bodies) == len(originals) == row.records:
        return _fault(row.position, row.records, f"{name} has not the {row.records} records that it counts")
    return Chunk(0, row.position, row.records, Position((row.position,)), heads, bodies, originals)


def gap(last: int, row: Row, total: int) -> Chunk:
    """What stands for the rows missing between `last`, up to which `total` records were, and `row`."""
    missing = max(row.total - row.records - total, 0)
    return _fault(row.position - 1, missing, f"rows {last + 1} to {row.position - 1} of the log are missing")


def _fault(position: int, records: int, reason: str) -> Chunk:
    return Chunk(0, position, records, Position((position,)), EMPTY, EMPTY, EMPTY, reason)


def _frame(blob: bytes) -> Frame:
    return Frame.unpack(zstandard.decompress(blob))


def _nothing(records: int) -> Frame:
    return Frame(b"", array("I", bytes(array("I").itemsize * (records + 1))))
