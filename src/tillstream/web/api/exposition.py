"""The Prometheus metrics of the process that serves the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tillstream.alerts.evaluator import AlertEvaluator
from tillstream.queries.queries import Queries
from tillstream.receipt.reasons import split_group

PREFIX = "tillstream_"


class _Gauges(Collector):
    """Gauges whose values are read at each scrape."""

    def __init__(self, read: Callable[[], dict[str, float]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, value in self._read().items():
            yield GaugeMetricFamily(PREFIX + name, name.replace("_", " "), value)

    def describe(self) -> list[GaugeMetricFamily]:
        return []


class _Alerts(Collector):
    """Active alerts by rule."""

    def __init__(self, counts: Callable[[], dict[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(PREFIX + "alerts", "alerts that stand, by rule", labels=["rule"])
        for rule, count in self._counts().items():
            family.add_metric([rule], count)
        yield family

    def describe(self) -> list[GaugeMetricFamily]:
        return []


class _Quarantine(Collector):
    """Entries of the quarantine by reason and source. The number of label values is bounded, and none goes away."""

    def __init__(self, totals: Callable[[], dict[str, Any]]) -> None:
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        totals = self._totals()
        name = PREFIX + "quarantine"
        by_reason = CounterMetricFamily(f"{name}_by_reason", "entries, by reason", labels=["path", "error"])
        for reason, entries in totals["reason"].items():
            by_reason.add_metric(list(split_group(reason)), entries)
        yield by_reason
        for family, text, label, counted in (
            ("by_source", "entries, by source", "source", totals["source"]),
            ("settled", "entries that somebody settled", "decision", totals["settled"]),
        ):
            counter = CounterMetricFamily(f"{name}_{family}", text, labels=[label])
            for value, entries in counted.items():
                counter.add_metric([value], entries)
            yield counter
        yield GaugeMetricFamily(f"{name}_waiting", "entries that nobody settled yet", totals["waiting"])
        yield GaugeMetricFamily(f"{name}_waiting_bytes", "bytes of their originals", totals["waiting_bytes"])

    def describe(self) -> list[Metric]:
        return []


def registry(queries: Queries, alerts: AlertEvaluator, gauges: Callable[[], dict[str, float]]) -> CollectorRegistry:
    """The collectors of gauges, alerts, quarantine and process."""
    made = CollectorRegistry()
    made.register(_Gauges(gauges))
    made.register(_Alerts(alerts.counts))
    made.register(_Quarantine(queries.quarantine_totals))
    ProcessCollector(registry=made)
    return made
