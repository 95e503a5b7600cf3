"""When the log on the broker counts as full: before the broker would drop what the engine has not read."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from tillstream.config.settings import Settings
from tillstream.log.rabbitmq.progress import NONE_YET

FULL_SHARE = 0.8
"""Of the retention."""

SAMPLES = 100
_OVERHEAD_BYTES = 200
"""What the broker stores with a message: its properties and their names."""

_FIRST_GUESS_BYTES = 2_000


class Retention:
    """Judges by the lag of each stream. Nothing is full where nothing is ever dropped."""

    def __init__(self, settings: Settings, now_s: Callable[[], float] = time.monotonic) -> None:
        self._bytes = settings.rabbitmq_retention_bytes
        self._age_s = settings.rabbitmq_retention_age_s
        self._now_s = now_s
        self._message_bytes: float = _FIRST_GUESS_BYTES
        self._behind_since: dict[int, deque[tuple[float, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._bytes or self._age_s)

    def appended(self, records: int, size_bytes: int) -> None:
        """Learn how large messages are."""
        if records:
            self._message_bytes += (size_bytes / records + _OVERHEAD_BYTES - self._message_bytes) / 8

    def full(self, ends: Mapping[int, int], behind: Mapping[int, int]) -> str:
        """Why nothing more may be appended, given each stream's last offset and lag; empty where it may."""
        for number, records in behind.items():
            share = records * self._message_bytes / self._bytes if self._bytes else 0
            if share >= FULL_SHARE:
                return f"the engine is {records} records behind, {share:.0%} of what rabbitmq_retention_bytes keeps"
            age_s = self._age_s_of(number, ends.get(number, NONE_YET), records)
            if self._age_s and age_s >= FULL_SHARE * self._age_s:
                return f"the engine is {age_s:.0f} s behind, and rabbitmq_retention_age_s keeps {self._age_s}"
        return ""

    def _age_s_of(self, number: int, end: int, records: int) -> float:
        """How long the oldest record that the engine has not read has been there, as far as was seen."""
        now = self._now_s()
        notes = self._behind_since.setdefault(number, deque(maxlen=SAMPLES))
        # A note tells where the stream ended; what stands behind it came later.
        while notes and notes[0][1] <= end - records:
            notes.popleft()
        if records and (not notes or now - notes[-1][0] >= self._age_s / SAMPLES):
            notes.append((now, end))
        return now - notes[0][0] if notes else 0.0
