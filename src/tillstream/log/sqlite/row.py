"""A row of the log on SQLite. It contains compressed records that ingest committed together, and a checksum."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

from tillstream.compression import unzstd
from tillstream.errors import TillstreamError
from tillstream.log.base import MAX_CHUNK_RECORDS, Frame

# `rowid` is another name of the key column `position`. It can be selected even if damage has changed the declaration of
# that column.
COLUMNS = "rowid, count, total, checksum, heads, bodies, originals"
NUMBERS = "rowid, count, total, 0, x'', x'', NULL"
"""The columns to select if the blobs of a row are unreadable. The result has the checksum 0 and empty blobs."""

MIN_ROW_BYTES = 32
"""The minimum size of a row: its numbers, and the compressed blobs `heads` and `bodies` without any records."""

MAX_FRAME_BYTES = 1 << 32
"""The maximum size of a decompressed frame. Its 32-bit offsets cannot refer to more data."""

_NUMBERS = struct.Struct("<qqq")

Frames = tuple[Frame, Frame, Frame]
"""The heads, bodies and originals of a row."""


class RowDamaged(TillstreamError):
    """The row fails its checksum, cannot be unpacked, or has a wrong number of records."""


class Row(NamedTuple):
    """The values of a row. `originals` is None if all originals are empty.

    `records` is the number of records in the row. `total` is the number of records in the log up to and including
    the row. In a damaged file, every value except `position` may have a wrong type.
    """

    position: int
    records: int
    total: int
    checksum: int
    heads: bytes
    bodies: bytes
    originals: bytes | None

    @classmethod
    def pack(
        cls,
        position: int,
        total: int,
        heads: Sequence[bytes],
        bodies: Sequence[bytes],
        originals: Sequence[bytes],
        compress: Callable[[bytes], bytes],
    ) -> Row:
        """Pack records into a row. `compress` compresses bytes with zstd."""
        packed_heads = compress(Frame.of(heads).pack())
        packed_bodies = compress(Frame.of(bodies).pack())
        packed_originals = compress(Frame.of(originals).pack()) if any(originals) else None
        return cls(position, len(heads), total, 0, packed_heads, packed_bodies, packed_originals).sealed()

    def sealed(self) -> Row:
        """Return the row with a correct checksum."""
        return self._replace(checksum=self._crc32())

    def _crc32(self) -> int:
        numbers = crc32(_NUMBERS.pack(self.position, self.records, self.total))
        return crc32(self.originals or b"", crc32(self.bodies, crc32(self.heads, numbers)))

    @property
    def is_intact(self) -> bool:
        """Whether all values have the right type and match the checksum."""
        numbers = (self.position, self.records, self.total, self.checksum)
        blobs = (self.heads, self.bodies, b"" if self.originals is None else self.originals)
        return (
            all(isinstance(number, int) for number in numbers)
            and all(isinstance(blob, bytes) for blob in blobs)
            and self._crc32() == self.checksum
        )

    @property
    def previous_total(self) -> int:
        """The number of records in the log before the row."""
        return self.total - self.records

    @property
    def weight(self) -> int:
        """How many records the row takes from the limit of a read: at least 1, even if it is empty or damaged."""
        return min(max(1, integer(self.records)), MAX_CHUNK_RECORDS)

    @property
    def size_bytes(self) -> int:
        """The total size of the blobs."""
        return sum(len(blob) for blob in (self.heads, self.bodies, self.originals) if isinstance(blob, bytes))

    def unpack(self) -> Frames:
        """Return the heads, bodies and originals. Raises `RowDamaged`."""
        name = f"row {self.position} of the log"
        if not self.is_intact:
            raise RowDamaged(f"{name} fails its checksum")
        try:
            heads, bodies = _unpack(self.heads), _unpack(self.bodies)
            originals = _unpack(self.originals) if self.originals else Frame.of([b""] * len(heads))
        except ValueError as error:
            raise RowDamaged(f"{name} cannot be unpacked: {error}") from error
        if not len(heads) == len(bodies) == len(originals) == self.records:
            raise RowDamaged(f"{name} does not contain the {self.records} records that it counts")
        return heads, bodies, originals


def integer(value: object) -> int:
    """Return the value if it is an integer, or 0 if damage has changed its type."""
    return value if isinstance(value, int) else 0


def _unpack(blob: bytes) -> Frame:
    return Frame.unpack(unzstd(blob, MAX_FRAME_BYTES))
