"""Counters become metrics in the text format of Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

from tillstream.errors import LogUnavailable
from tillstream.http.memory import MemoryBudget
from tillstream.ingest.counters import Counters, Exposition


def figures(exposition: Exposition) -> dict[str, float]:
    found = re.findall(r"^(tillstream\S+) (\S+)$", exposition.text().decode(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_counts_are_exposed(tmp_path: Path) -> None:
    counters, budget = Counters(), MemoryBudget(100)
    exposition = Exposition(counters, budget, lambda: 7, tmp_path)
    counters.requests[202] += 2
    counters.accepted += 3
    assert budget.reserve(11)
    shown = figures(exposition)
    assert shown['tillstream_requests_total{status="202"}'] == 2
    assert shown['tillstream_receipts_total{outcome="accepted"}'] == 3
    assert shown["tillstream_pending_bytes"] == 11
    assert shown["tillstream_log_lag_records"] == 7


def test_commit_durations_are_a_histogram_with_cumulative_buckets(tmp_path: Path) -> None:
    counters = Counters()
    for seconds in (0.001, 0.002, 0.04, 60.0):
        counters.count_commit(seconds)
    shown = figures(Exposition(counters, MemoryBudget(0), lambda: 0, tmp_path))
    assert shown['tillstream_commit_seconds_bucket{le="0.001"}'] == 1
    assert shown['tillstream_commit_seconds_bucket{le="0.0025"}'] == 2
    assert shown['tillstream_commit_seconds_bucket{le="5.0"}'] == 3
    assert shown['tillstream_commit_seconds_bucket{le="+Inf"}'] == 4
    assert shown["tillstream_commit_seconds_sum"] == 60.043


def test_every_file_of_the_data_directory_has_its_size(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"12345")
    (tmp_path / "directory").mkdir()
    shown = figures(Exposition(Counters(), MemoryBudget(0), lambda: 0, tmp_path))
    assert shown['tillstream_data_file_bytes{file="log"}'] == 5
    assert 'tillstream_data_file_bytes{file="directory"}' not in shown
    assert shown["tillstream_disk_free_bytes"] > 0


def test_without_the_log_all_metrics_but_its_lag_are_exposed(tmp_path: Path) -> None:
    def unavailable() -> int:
        raise LogUnavailable("read", "the log", "it is away")

    shown = figures(Exposition(Counters(), MemoryBudget(0), unavailable, tmp_path))
    assert "tillstream_log_lag_records" not in shown
    assert "tillstream_disk_free_bytes" in shown
