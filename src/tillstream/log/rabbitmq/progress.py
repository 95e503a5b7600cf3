"""How far the engine has come, as a message of the progress stream tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import zip_longest

import msgspec

from tillstream.log.base import START, Position

NONE_YET = START.offsets[0]


def offset_of(position: Position, number: int) -> int:
    """The last offset of a stream at or before the position; streams are numbered from 1."""
    return position.offsets[number - 1] if number <= len(position.offsets) else NONE_YET


def position_of(offsets: Iterable[int]) -> Position:
    """The position with these offsets of the streams 1, 2, 3…, written in the one way that there is."""
    found = list(offsets)
    while len(found) > 1 and found[-1] == NONE_YET:
        found.pop()
    return Position(tuple(found)) if found else START


@dataclass(frozen=True, slots=True)
class Progress:
    """What the engine has committed, and its reach: how far it may have come. The reach never sinks."""

    committed: Position = START
    reach: Position = START

    def told(self, position: Position, *, committed: bool) -> Progress:
        """The progress once the engine has told this."""
        further = replace(self, reach=_further(self.reach, position))
        return replace(further, committed=position) if committed else further

    def beside(self, other: Progress) -> Progress:
        """This one, with a reach that is not behind the other's."""
        return replace(self, reach=_further(self.reach, other.reach))

    def encode(self) -> bytes:
        return msgspec.json.encode({"committed": str(self.committed), "reach": str(self.reach)})

    @classmethod
    def decode(cls, text: bytes) -> Progress:
        """Raises `ValueError`."""
        found = msgspec.json.decode(text, type=dict[str, str])
        try:
            return cls(Position.parse(found["committed"]), Position.parse(found["reach"]))
        except KeyError as error:
            raise ValueError(f"no {error} in it") from error


def _further(one: Position, other: Position) -> Position:
    pairs = zip_longest(one.offsets, other.offsets, fillvalue=NONE_YET)
    return position_of(max(pair) for pair in pairs)
