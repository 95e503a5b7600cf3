"""What ingest counts: plain integers on the hot path, Prometheus metrics when somebody asks."""

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

# Kinds come from formats, some of them not ours: there shall be an end to them.
_KINDS_KEPT = 50
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

    def skip(self, kind: str, number: int = 1) -> None:
        """Records that are rightly no sales."""
        self.skipped[kind if kind in self.skipped or len(self.skipped) < _KINDS_KEPT else _OTHER_KIND] += number

    def answered(self, status: int) -> None:
        self.requests[status] += 1

    def committed(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        self._commit_buckets[bisect_left(_COMMIT_BOUNDS_S, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("tillstream_requests", "requests answered", labels=["status"])
        for status, count in sorted(self.requests.items()):
            requests.add_metric([str(status)], count)
        yield requests
        receipts = CounterMetricFamily("tillstream_receipts", "receipts by what became of them", labels=["outcome"])
        receipts.add_metric(["accepted"], self.accepted)
        receipts.add_metric(["refused"], self.refused)
        yield receipts
        skipped = CounterMetricFamily("tillstream_skipped", "records that are no sales, by kind", labels=["kind"])
        for kind, count in sorted(self.skipped.items()):
            skipped.add_metric([kind], count)
        yield skipped
        bounds = [*map(str, _COMMIT_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "tillstream_commit_seconds",
            "time that a group commit took until it was durable",
            buckets=list(zip(bounds, accumulate(self._commit_buckets), strict=True)),
            sum_value=self.commit_seconds,
        )
        yield GaugeMetricFamily(
            "tillstream_pending_bytes", "bytes taken that are not durable yet", self.pending_bytes()
        )


class _Disk(Collector):
    """The data directory's files, and what the disk has left."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        files = GaugeMetricFamily("tillstream_data_file_bytes", "size of a file in the data directory", labels=["file"])
        for path in sorted(self._directory.iterdir()):
            # A file may be renamed while it is looked at.
            with suppress(FileNotFoundError):
                if path.is_file():
                    files.add_metric([path.name], path.stat().st_size)
        yield files
        free = shutil.disk_usage(self._directory).free
        yield GaugeMetricFamily("tillstream_disk_free_bytes", "room left on the disk of the data directory", free)


class _Lag(Collector):
    def __init__(self, lag: Callable[[], int]) -> None:
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        # While the log is away nobody knows, and all else is wanted more than ever.
        with suppress(LogUnavailable):
            lag = self._lag()
            yield GaugeMetricFamily("tillstream_log_lag_records", "records that the engine has not folded yet", lag)


class Exposition:
    """The text of `/metrics`."""

    def __init__(self, counters: Counters, lag: Callable[[], int], directory: Path) -> None:
        self._registry = CollectorRegistry()
        for collector in (counters, _Lag(lag), _Disk(directory)):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Reads files and the log, so not on the event loop."""
        return generate_latest(self._registry)
