"""How many bytes of receipts may be in memory: those being read, sorted, and waiting for the disk, together."""

from __future__ import annotations

from types import TracebackType


class Room:
    """A budget of bytes; whoever takes some gives them back."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.taken_bytes = 0

    def has(self, size_bytes: int) -> bool:
        return self.taken_bytes + size_bytes <= self._limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Whether there was room for them; if so, they are taken."""
        if self.taken_bytes + size_bytes > self._limit_bytes:
            return False
        self.taken_bytes += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        self.taken_bytes -= size_bytes


class Share:
    """What one request holds of the room, from when its body is read until nobody needs that; its end gives it back."""

    __slots__ = ("_room", "taken_bytes")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.taken_bytes = 0

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.give()

    def take(self, size_bytes: int) -> bool:
        """Whether there was room for so many more."""
        if not self._room.take(size_bytes):
            return False
        self.taken_bytes += size_bytes
        return True

    def fit(self, size_bytes: int) -> bool:
        """Hold so many instead of what it held; whether there was room for them."""
        return self.take(size_bytes - self.taken_bytes)

    def give(self) -> None:
        """All of it; a second time does nothing."""
        self._room.give(self.taken_bytes)
        self.taken_bytes = 0
