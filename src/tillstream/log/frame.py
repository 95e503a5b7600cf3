"""Many byte strings as one: the form in which the log compresses them and the engine scans them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate

from tillstream.errors import TillstreamError


class FrameError(TillstreamError):
    """The bytes are no frame: their lengths don't add up."""


class Frame:
    """Byte strings laid end to end in `data`; item i is `data[offsets[i]:offsets[i + 1]]`.

    `offsets` holds len + 1 unsigned 32-bit integers, the layout of an Arrow string array, so a
    frame becomes an Arrow column without touching its items. A packed frame is the count, then
    the offsets behind the first, all as little-endian 32-bit integers, then the data.
    """

    __slots__ = ("data", "offsets")

    def __init__(self, data: bytes, offsets: array[int]) -> None:
        self.data = data
        self.offsets = offsets

    @classmethod
    def of(cls, items: Sequence[bytes]) -> Frame:
        offsets = array("I", [0])
        offsets.extend(accumulate(map(len, items)))
        return cls(b"".join(items), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def pack(self) -> bytes:
        numbers = array("I", [len(self)])
        numbers.extend(self.offsets[1:])
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes() + self.data

    @classmethod
    def unpack(cls, packed: bytes) -> Frame:
        """Raises `FrameError` where the count or the offsets contradict the data."""
        if len(packed) < 4:
            raise FrameError("a frame of under 4 bytes")
        count = int.from_bytes(packed[:4], "little")
        head = 4 + 4 * count
        if len(packed) < head:
            raise FrameError(f"a frame of {count} items in {len(packed)} bytes")
        offsets = array("I", [0])
        tail = array("I")
        tail.frombytes(packed[4:head])
        if sys.byteorder == "big":
            tail.byteswap()
        offsets.extend(tail)
        data = packed[head:]
        if offsets[-1] != len(data):
            raise FrameError(f"a frame whose items take {offsets[-1]} bytes, not {len(data)}")
        return cls(data, offsets)


EMPTY = Frame.of([])
