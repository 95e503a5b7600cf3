"""Routes for health, Prometheus metrics and alerts."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.inprocess.dashboard import DashboardClient, quarantine_service_of, queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tillstream.alerts.rules import RULES
from tillstream.config.settings import Settings
from tillstream.errors import LogUnavailable
from tillstream.queries import quarantine


def test_given_an_open_database_when_health_is_read_then_the_process_is_live_and_ready(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.append(body())
    client = DashboardClient(pipeline)
    assert client.json("/health/live") == {"status": "live"}
    assert client.json("/health/ready") == {"status": "ready", "lag": 1}
    pipeline.close()


def test_given_a_closed_database_when_health_is_read_then_the_process_is_live_but_not_ready(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    client = DashboardClient(pipeline)
    pipeline.close()
    assert client.request("/health/live").status_code == 200
    assert client.request("/health/ready").status_code == 503


def test_given_a_stalled_engine_when_health_is_read_then_the_process_is_not_ready_and_gives_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(tmp_path)
    monkeypatch.setattr(
        pipeline.engine, "failure", lambda: LogUnavailable("read the log", "x", "disk I/O error", "look")
    )
    answer = DashboardClient(pipeline).request("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["errors"] == [
        {"path": "", "error": "the figures are not updated: disk I/O error", "hint": "look"}
    ]
    pipeline.close()


def test_given_gauges_when_metrics_are_read_then_prometheus_can_parse_them(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    answer = DashboardClient(pipeline).request("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = {
        sample.name: sample.value for family in text_string_to_metric_families(answer.text) for sample in family.samples
    }
    assert found["tillstream_log_lag_records"] == 3.0
    assert found["tillstream_live_viewers"] == 0.0
    assert found["process_resident_memory_bytes"] > 0
    pipeline.close()


def test_given_alerts_when_metrics_are_read_then_they_are_counted_for_each_enabled_rule(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(alert_quarantine_per_hour=1, alert_lag_seconds=0))
    pipeline.refuse(b"x", [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()
    client = DashboardClient(pipeline)
    client.json("/api/v1/alerts")
    found = {
        sample.labels["rule"]: sample.value
        for family in text_string_to_metric_families(client.request("/metrics").text)
        for sample in family.samples
        if sample.name == "tillstream_alerts"
    }
    assert found == {rule.name: float(rule.name == "quarantine") for rule in RULES if rule.name != "engine_lag"}
    pipeline.close()


def test_given_entries_when_metrics_are_read_then_reasons_and_sources_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "REASONS_LIMIT", 2)
    pipeline = Pipeline(tmp_path)
    for path in ("$.a", "$.a", "$.b", "$.c", "$.d"):
        pipeline.refuse(b"x", [{"path": path, "error": "it is missing", "hint": ""}])
    pipeline.drain()
    queries = queries_of(pipeline)
    quarantine_service_of(pipeline, queries).discard([queries.quarantine().entries[0].id])
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(DashboardClient(pipeline).request("/metrics").text)
        for sample in family.samples
        if sample.name.startswith("tillstream_quarantine")
    }
    assert found == {
        ("tillstream_quarantine_by_reason_total", "missing", "$.a"): 2.0,
        ("tillstream_quarantine_by_reason_total", "missing", "$.b"): 1.0,
        ("tillstream_quarantine_by_reason_total", "other", "(other)"): 2.0,
        ("tillstream_quarantine_by_source_total", "json/http"): 5.0,
        ("tillstream_quarantine_settled_total", "discarded"): 1.0,
        ("tillstream_quarantine_waiting",): 4.0,
        ("tillstream_quarantine_waiting_bytes",): 4.0,
    }
    pipeline.close()
