"""Evaluation: at most one per interval for all callers, worst alerts first, without flapping."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import SalesSimulation, active_alerts
from tests.support.receipts import body
from tillstream.alerts.evaluator import Alerts, LagMeter
from tillstream.alerts.rules import GRACE_S, INTERVAL_S, LIMIT, RULES
from tillstream.config.settings import Settings
from tillstream.database.base import Reader
from tillstream.errors import DatabaseUnavailable


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(alert_quarantine_per_hour=10))
    yield pipeline
    pipeline.close()


def refuse(pipeline: Pipeline, number: int) -> None:
    for each in range(number):
        pipeline.refuse(b"%d" % each, [{"path": "$", "error": "broken off", "hint": ""}])
    pipeline.drain()


def test_given_an_empty_database_when_evaluated_then_no_alert_is_active_and_every_count_is_zero(
    pipeline: Pipeline,
) -> None:
    alerts = SalesSimulation(pipeline).evaluator()
    assert alerts.current() == Alerts([], 0)
    assert alerts.counts() == {rule.name: 0 for rule in RULES}


def test_given_a_result_when_read_again_within_the_interval_then_it_is_not_evaluated_again(pipeline: Pipeline) -> None:
    alerts = SalesSimulation(pipeline).evaluator()
    assert alerts.active() == []
    refuse(pipeline, 10)
    pipeline.clock.advance(INTERVAL_S - 1)
    assert alerts.active() == []
    pipeline.clock.advance(1)
    assert [row.rule for row in alerts.active()] == ["quarantine"]
    assert alerts.counts()["quarantine"] == 1


def test_given_an_alert_when_its_figure_falls_a_little_then_it_stays_active_until_the_figure_is_well_below(
    pipeline: Pipeline,
) -> None:
    alerts = SalesSimulation(pipeline).evaluator()
    refuse(pipeline, 2)
    pipeline.clock.advance(1_000)
    refuse(pipeline, 1)
    pipeline.clock.advance(1_000)
    refuse(pipeline, 7)
    [fired] = alerts.active()
    # The first two are older than an hour, so eight are left, then seven.
    pipeline.clock.advance(1_700)
    [active] = alerts.active()
    assert (active.values, active.since) == ({"entries": 8}, fired.since)
    pipeline.clock.advance(1_000)
    assert alerts.active() == []
    pipeline.clock.advance(10)
    assert alerts.active() == []


def test_given_eight_of_ten_when_no_alert_was_active_then_nothing_fires(pipeline: Pipeline) -> None:
    refuse(pipeline, 8)
    assert SalesSimulation(pipeline).evaluator().active() == []


def test_given_more_alerts_than_the_limit_when_read_then_the_worst_come_first_and_the_others_are_counted(
    tmp_path: Path,
) -> None:
    pipeline = Pipeline(tmp_path, Settings(alert_anomaly_percent=50, alert_quarantine_per_hour=1))
    simulation = SalesSimulation(pipeline)
    bad = [str(number) for number in range(1, LIMIT + 11)]
    simulation.tills = tuple((store, "1") for store in [*bad, *(f"good {number}" for number in range(LIMIT + 11))])

    def made(**changes: Any) -> dict[str, Any]:
        short = changes["storeID"] == "7" or (
            not changes["storeID"].startswith("good") and int(changes["cashReceiptID"]) % 4
        )
        return body(**changes, settlements=[{"paymentMechanism": "CB", "settlementAmount": 4.0 if short else 5.0}])

    simulation.sell_until("07:40", make_receipt=made)
    refuse(pipeline, 1)
    answer = simulation.evaluator().current()
    assert (len(answer.alerts), answer.more) == (LIMIT, 11)
    assert [(row.rule, row.subject) for row in answer.alerts[:2]] == [
        ("quarantine", ""),
        ("shop_anomalies", "7"),
    ]
    pipeline.close()


def test_given_a_start_just_now_when_a_shop_is_silent_then_its_alert_waits_for_the_grace_period(
    pipeline: Pipeline,
) -> None:
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks()
    simulation.sell_until("12:00")
    simulation.sell_until("12:30", "2")
    alerts = simulation.evaluator()
    assert alerts.active() == []
    pipeline.clock.advance(GRACE_S - 1)
    assert active_alerts(alerts, "silent_shop") == []
    pipeline.clock.advance(INTERVAL_S)
    assert [row.subject for row in active_alerts(alerts, "silent_shop")] == ["2"]


def test_given_an_evaluation_in_another_thread_when_read_then_the_last_result_is_returned_at_once(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = SalesSimulation(pipeline).evaluator()
    assert alerts.active() == []
    refuse(pipeline, 10)
    pipeline.clock.advance(INTERVAL_S)
    begun, go_on = Event(), Event()
    evaluate = alerts._evaluate

    def slowly(reader: Reader, now_us: int) -> None:
        begun.set()
        assert go_on.wait(30)
        evaluate(reader, now_us)

    monkeypatch.setattr(alerts, "_evaluate", slowly)
    thread = Thread(target=alerts.active)
    thread.start()
    assert begun.wait(30)
    assert alerts.active() == []
    go_on.set()
    thread.join(30)
    assert [row.rule for row in alerts.active()] == ["quarantine"]


def test_given_a_closed_database_when_evaluated_then_it_raises_every_time(pipeline: Pipeline) -> None:
    alerts = SalesSimulation(pipeline).evaluator()
    pipeline.database.close()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            alerts.active()
    pipeline.reopen()


def test_given_an_hour_without_receipts_when_one_arrives_then_the_lag_is_not_an_hour(pipeline: Pipeline) -> None:
    clock, lag = pipeline.clock, LagMeter()
    pipeline.append(body())
    pipeline.drain()
    clock.advance(3_600)
    pipeline.append(body(cashReceiptID="2"))
    with pipeline.database.snapshot() as reader:
        assert lag.measure(reader, pipeline.log, clock.now_us()).seconds == 0
        clock.advance(7)
        pipeline.append(body(cashReceiptID="3"))
        behind = lag.measure(reader, pipeline.log, clock.now_us())
    assert (behind.seconds, behind.records) == (7, 2)


def test_given_an_engine_that_catches_up_when_more_records_arrive_then_only_unread_records_count(
    pipeline: Pipeline,
) -> None:
    clock, lag = pipeline.clock, LagMeter()
    for number in range(5):
        pipeline.append(body(cashReceiptID=str(number)))
        with pipeline.database.snapshot() as reader:
            assert lag.measure(reader, pipeline.log, clock.now_us()).seconds == 0
        pipeline.drain()
        pipeline.append(body(cashReceiptID=f"late {number}"))
        clock.advance(60)
    pipeline.drain()
    with pipeline.database.snapshot() as reader:
        behind = lag.measure(reader, pipeline.log, clock.now_us())
    assert (behind.seconds, behind.records) == (0, 0)


def test_given_a_lag_that_grows_for_a_day_when_measured_then_it_is_exact_with_few_notes(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lag, clock = LagMeter(), pipeline.clock
    seconds = 0
    with pipeline.database.snapshot() as reader:
        for number in range(8_640):
            monkeypatch.setattr(pipeline.log, "lag", lambda number=number: number + 1)
            seconds = lag.measure(reader, pipeline.log, clock.now_us()).seconds
            clock.advance(10)
    assert seconds == 86_390
    assert len(lag._notes) <= 1_001
