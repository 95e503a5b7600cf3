"""The counters of ingest: plain integers on the hot path, converted to Prometheus metrics on request."""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tillstream.errors import LogUnavailable

_COMMIT_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# Plug-in formats may skip records of any kind, so the number of labels is limited.
_KINDS_LIMIT = 50
_OTHER_KIND = "other"


class Counters(Collector):
    """Counts since the start of the process. Only the event loop writes them."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        self.accepted = 0
        self.refused = 0
        self.skipped: Counter[str] = Counter()
        self.commits = 0
        self.commit_seconds = 0.0
        self._commit_buckets = [0] * (len(_COMMIT_BOUNDS_S) + 1)
        self.pending_bytes: Callable[[], int] = lambda: 0

    def count_skipped(self, kind: str, number: int = 1) -> None:
        """Count records that are not sales."""
        self.skipped[kind if kind in self.skipped or len(self.skipped) < _KINDS_LIMIT else _OTHER_KIND] += number

    def count_response(self, status: int) -> None:
        self.requests[status] += 1

    def count_commit(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        self._commit_buckets[bisect_left(_COMMIT_BOUNDS_S, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("tillstream_requests", "responses sent, by status", labels=["status"])
        for status, count in sorted(self.requests.items()):
            requests.add_metric([str(status)], count)
        yield requests
        receipts = CounterMetricFamily("tillstream_receipts", "receipts, by outcome", labels=["outcome"])
        receipts.add_metric(["accepted"], self.accepted)
        receipts.add_metric(["refused"], self.refused)
        yield receipts
        skipped = CounterMetricFamily("tillstream_skipped", "records that are not sales, by kind", labels=["kind"])
        for kind, count in sorted(self.skipped.items()):
            skipped.add_metric([kind], count)
        yield skipped
        bounds = [*map(str, _COMMIT_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "tillstream_commit_seconds",
            "duration of a group commit",
            buckets=list(zip(bounds, accumulate(self._commit_buckets), strict=True)),
            sum_value=self.commit_seconds,
        )
        yield GaugeMetricFamily(
            "tillstream_pending_bytes", "bytes in memory that are not durable yet", self.pending_bytes()
        )


class _DiskCollector(Collector):
    """The sizes of the data directory's files, and the free space of its disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        files = GaugeMetricFamily("tillstream_data_file_bytes", "size of a file in the data directory", labels=["file"])
        for path in sorted(self._directory.iterdir()):
            # A file may be renamed or removed meanwhile.
            with suppress(FileNotFoundError):
                if path.is_file():
                    files.add_metric([path.name], path.stat().st_size)
        yield files
        free = shutil.disk_usage(self._directory).free
        yield GaugeMetricFamily("tillstream_disk_free_bytes", "free bytes on the disk of the data directory", free)


class _LagCollector(Collector):
    def __init__(self, lag: Callable[[], int]) -> None:
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        # Without the log there is no lag to show, but all other metrics must be.
        with suppress(LogUnavailable):
            lag = self._lag()
            yield GaugeMetricFamily("tillstream_log_lag_records", "records that the engine has not folded yet", lag)


class Exposition:
    """The text of `/metrics`."""

    def __init__(self, counters: Counters, lag: Callable[[], int], directory: Path) -> None:
        self._registry = CollectorRegistry()
        for collector in (counters, _LagCollector(lag), _DiskCollector(directory)):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics. It reads files and the log, so it must not run on the event loop."""
        return generate_latest(self._registry)
