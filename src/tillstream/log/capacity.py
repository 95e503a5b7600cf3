"""Decides when the log is full and ingest must refuse receipts.

The log counts as full before the disk is full, and before the broker drops records that the engine has not read.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from tillstream.config.settings import Settings
from tillstream.errors import LogFull

CHECK_INTERVAL_S = 1.0
"""The minimum time between two measurements of the disk or of the broker."""

MAX_LAG_SHARE = 0.8
"""A stream on the broker is full when its unread records reach this share of its size limit or of its age limit."""

LAG_SAMPLES = 100
_MESSAGE_OVERHEAD_BYTES = 200
_INITIAL_MESSAGE_BYTES = 2_000


class DiskCapacity:
    """Limits a log on disk to `log_limit_bytes`, and keeps `disk_reserve_bytes` of the disk free.

    `log_bytes` returns the current size of the log.
    """

    def __init__(self, settings: Settings, path: Path, log_bytes: Callable[[], int]) -> None:
        self._settings = settings
        self._path = path
        self._log_bytes = log_bytes
        self._measured_s = -CHECK_INTERVAL_S
        self._free_bytes = 0

    def check(self, added_bytes: int) -> None:
        """Raise `LogFull` if the log must not grow by `added_bytes`."""
        limit = self._settings.log_limit_bytes
        if limit and self._log_bytes() + added_bytes > limit:
            raise self._full(f"it has reached log_limit_bytes ({limit})", "raise the limit")
        now_s = time.monotonic()
        if now_s - self._measured_s >= CHECK_INTERVAL_S:
            self._measured_s = now_s
            self._free_bytes = shutil.disk_usage(self._path.parent).free
        if self._free_bytes < self._settings.disk_reserve_bytes + added_bytes:
            reason = f"the disk has {self._free_bytes} bytes left, and disk_reserve_bytes must stay free"
            raise self._full(reason, "make room on the disk")

    def _full(self, reason: str, hint: str) -> LogFull:
        return LogFull("append to the log", self._path, reason, hint)


class Retention:
    """Decides when the streams on a broker are full.

    If a stream reaches its limit of size or age, the broker drops the oldest records, even if the engine has not read
    them. If the settings contain no such limit, the streams are never full. `measure` returns the last offset and the
    number of unread records for each partition.
    """

    def __init__(
        self,
        settings: Settings,
        broker: str,
        measure: Callable[[], Mapping[int, tuple[int, int]]],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes = settings.rabbitmq_retention_bytes
        self._age_s = settings.rabbitmq_retention_age_s
        self._broker = broker
        self._measure = measure
        self._now_s = now_s
        self._measured_s = -CHECK_INTERVAL_S
        self._reason = ""
        self._message_bytes: float = _INITIAL_MESSAGE_BYTES
        self._ends: dict[int, deque[tuple[float, int]]] = {}

    def check(self, records: int, size_bytes: int) -> None:
        """Raise `LogFull` if the next batch must not be appended.

        The batch contains `records` records with `size_bytes` bytes in total. The size of the unread records is an
        estimate: their number, multiplied by the average size of recent messages. Each call updates this average.
        """
        if not (self._bytes or self._age_s):
            return
        self._message_bytes += (size_bytes / records + _MESSAGE_OVERHEAD_BYTES - self._message_bytes) / 8
        if self._now_s() - self._measured_s >= CHECK_INTERVAL_S:
            self._measured_s = self._now_s()
            self._reason = self._full_reason()
        if self._reason:
            hint = "find out why the engine is behind, or raise the retention"
            raise LogFull("append to the log", self._broker, self._reason, hint)

    def _full_reason(self) -> str:
        for partition, (end, lag) in self._measure().items():
            share = lag * self._message_bytes / self._bytes if self._bytes else 0
            if share >= MAX_LAG_SHARE:
                return f"the engine is {lag} records behind, {share:.0%} of what rabbitmq_retention_bytes keeps"
            age_s = self._lag_age_s(partition, end, lag)
            if self._age_s and age_s >= MAX_LAG_SHARE * self._age_s:
                return f"the engine is {age_s:.0f} s behind, and rabbitmq_retention_age_s keeps {self._age_s}"
        return ""

    def _lag_age_s(self, partition: int, end: int, lag: int) -> float:
        """Estimate the age of the oldest unread record, from earlier measurements of the partition's end."""
        now_s = self._now_s()
        samples = self._ends.setdefault(partition, deque(maxlen=LAG_SAMPLES))
        # A sample is a time, and the last offset of the partition at that time. If the engine has read this offset, all
        # unread records are newer than the sample, so the sample is dropped. The result is the age of the oldest sample
        # that is left.
        while samples and samples[0][1] <= end - lag:
            samples.popleft()
        if lag and (not samples or now_s - samples[-1][0] >= self._age_s / LAG_SAMPLES):
            samples.append((now_s, end))
        return now_s - samples[0][0] if samples else 0.0
