"""The counters of ingest, and their export as Prometheus metrics at `/metrics`."""

from __future__ import annotations

import shutil
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tillstream.errors import LogUnavailable
from tillstream.http.memory import MemoryBudget

_COMMIT_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# Skipped records are not sales. For at most this number of kinds, they are counted separately. All further kinds are
# counted as `other`. Without this limit, formats from other packages could create any number of metrics.
_KINDS_LIMIT = 50
_OTHER_KIND = "other"


class Counters:
    """The values counted since the start of the process. Only the event loop changes them."""

    def __init__(self) -> None:
        self.requests: Counter[int] = Counter()
        """The number of responses by status."""
        self.accepted = 0
        self.refused = 0
        self.skipped: Counter[str] = Counter()
        self.commit_seconds = 0.0
        self.commit_buckets = [0] * (len(_COMMIT_BOUNDS_S) + 1)

    def count_skipped(self, kind: str, number: int = 1) -> None:
        """Count records that are not sales, such as the sign-on of a cashier."""
        self.skipped[kind if kind in self.skipped or len(self.skipped) < _KINDS_LIMIT else _OTHER_KIND] += number

    def count_response(self, status: int) -> None:
        self.requests[status] += 1

    def count_commit(self, seconds: float) -> None:
        self.commit_seconds += seconds
        self.commit_buckets[bisect_left(_COMMIT_BOUNDS_S, seconds)] += 1


class Exposition(Collector):
    """Writes the metrics in the text format of Prometheus. `directory` is the data directory."""

    def __init__(self, counters: Counters, budget: MemoryBudget, lag: Callable[[], int], directory: Path) -> None:
        self._counters = counters
        self._budget = budget
        self._lag = lag
        self._directory = directory
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return all metrics. Do not call this on the event loop, because it reads files and the log."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        counters = self._counters
        outcomes = {"accepted": counters.accepted, "refused": counters.refused}
        yield _counter("tillstream_requests", "responses sent, by status", "status", counters.requests)
        yield _counter("tillstream_receipts", "receipts, by outcome", "outcome", outcomes)
        yield _counter("tillstream_skipped", "records that are not sales, by kind", "kind", counters.skipped)
        bounds = [*map(str, _COMMIT_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "tillstream_commit_seconds",
            "duration of a group commit",
            buckets=list(zip(bounds, accumulate(counters.commit_buckets), strict=True)),
            sum_value=counters.commit_seconds,
        )
        pending = self._budget.reserved_bytes
        yield GaugeMetricFamily("tillstream_pending_bytes", "bytes in memory that are not durable yet", pending)
        # If the log is unavailable, only this metric is missing.
        with suppress(LogUnavailable):
            lag = self._lag()
            yield GaugeMetricFamily("tillstream_log_lag_records", "records that the engine has not folded yet", lag)
        files = GaugeMetricFamily("tillstream_data_file_bytes", "size of a file in the data directory", labels=["file"])
        for path in sorted(self._directory.iterdir()):
            # Another process may have renamed or deleted the file since the folder was listed.
            with suppress(FileNotFoundError):
                if path.is_file():
                    files.add_metric([path.name], path.stat().st_size)
        yield files
        free = shutil.disk_usage(self._directory).free
        yield GaugeMetricFamily("tillstream_disk_free_bytes", "free bytes on the disk of the data directory", free)


def _counter(name: str, documentation: str, label: str, values: Mapping[str, int] | Mapping[int, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([str(value)], count)
    return family
