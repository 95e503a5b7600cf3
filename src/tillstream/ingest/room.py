"""How many bytes of receipts may be in memory: those being read, sorted, and waiting for the disk, together."""

from __future__ import annotations


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
