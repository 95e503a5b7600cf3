"""A budget for the bytes of requests in memory: bodies being read, decoded, and waiting for the disk, together."""

from __future__ import annotations

from types import TracebackType


class MemoryBudget:
    """A number of bytes that may be reserved at a time."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self.reserved_bytes = 0

    def reserve(self, size_bytes: int) -> bool:
        """Reserve the bytes if they fit into the budget. Returns whether they did."""
        if self.reserved_bytes + size_bytes > self._limit_bytes:
            return False
        self.reserved_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        self.reserved_bytes -= size_bytes


class Reservation:
    """The part of a budget that one request holds. As a context manager, it is released at the end."""

    __slots__ = ("_budget", "size_bytes")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size_bytes = 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.release()

    def grow(self, size_bytes: int) -> bool:
        """Reserve more bytes if they fit into the budget. Returns whether they did."""
        if not self._budget.reserve(size_bytes):
            return False
        self.size_bytes += size_bytes
        return True

    def resize(self, size_bytes: int) -> bool:
        """Change the size to `size_bytes` if that fits into the budget. Returns whether it did."""
        return self.grow(size_bytes - self.size_bytes)

    def release(self) -> None:
        """Give everything back. A second call does nothing."""
        self._budget.release(self.size_bytes)
        self.size_bytes = 0
