"""The memory budget. It limits the memory that the data of all requests take together."""

from __future__ import annotations

from typing import Self


class MemoryBudget:
    """A limit on the bytes that are reserved at the same time."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.reserved_bytes = 0

    def reserve(self, size_bytes: int) -> bool:
        """Reserve the bytes and return True. If too few bytes are left, reserve nothing and return False."""
        if self.reserved_bytes + size_bytes > self._limit_bytes:
            return False
        self.reserved_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        """Return reserved bytes to the budget."""
        self.reserved_bytes -= size_bytes


class Reservation:
    """The bytes that one request has reserved in a budget. A `with` block releases them at its end."""

    __slots__ = ("_budget", "size_bytes")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def grow(self, size_bytes: int) -> bool:
        """Reserve `size_bytes` more and return True. If too few bytes are left, reserve nothing and return False."""
        if not self._budget.reserve(size_bytes):
            return False
        self.size_bytes += size_bytes
        return True

    def resize(self, size_bytes: int) -> bool:
        """Set the size to `size_bytes` and return True. If too few bytes are left, keep the size and return False."""
        return self.grow(size_bytes - self.size_bytes)

    def release(self) -> None:
        """Release all bytes. Further calls have no effect."""
        self._budget.release(self.size_bytes)
        self.size_bytes = 0
