"""Notifications: each alert that fires or clears between two checks is reported once, with its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import SalesSimulation
from tests.support.receipts import NOON_US
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import webhook_receiver
from tillstream.alerts import notifier as notifier_module
from tillstream.alerts.evaluator import Alert
from tillstream.alerts.notifier import Notifier
from tillstream.alerts.rules import GRACE_S, INTERVAL_S
from tillstream.alerts.webhook import Webhook
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings

Rows = list[dict[str, Any]]


def alert(subject: str, since: str = "2026-11-23T12:00:00", **values: Any) -> Alert:
    return Alert("silent_shop", "bad", since, subject, "", values, f"/shops/{subject}?day=2026-11-23")


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "alerts.json"


def notifier_with(
    active: Callable[[], list[Alert]], state_file: Path, clock: ManualClock | None = None
) -> tuple[Notifier, Rows]:
    events: Rows = []
    return Notifier(
        active, events.append, lambda: "http://till.example/", clock or ManualClock(NOON_US), state_file
    ), events


def test_given_alerts_that_come_and_go_when_checked_then_each_is_reported_once_as_it_fires_and_clears(
    state_file: Path,
) -> None:
    active: list[Alert] = []
    notifier, events = notifier_with(lambda: active, state_file)
    notifier.check()
    assert events == []
    active = [alert("12", minutes=20)]
    notifier.check()
    assert events == [
        {
            "event": "fired",
            "alert": alert("12", minutes=20),
            "at": "2026-11-23T11:00:00.000Z",
            "page": "http://till.example/shops/12?day=2026-11-23",
        }
    ]
    active = [alert("12", minutes=21), alert("13", minutes=20)]
    notifier.check()
    assert [(each["event"], each["alert"].subject) for each in events[1:]] == [("fired", "13")]
    active = [alert("13", minutes=21)]
    notifier.check()
    assert events[2:] == [{**events[0], "event": "cleared", "alert": alert("12", minutes=21)}]


def test_given_an_alert_that_cleared_and_fired_again_when_checked_then_both_are_reported(state_file: Path) -> None:
    active = [alert("12")]
    notifier, events = notifier_with(lambda: active, state_file)
    notifier.check()
    active = [alert("12", since="2026-11-23T13:00:00")]
    notifier.check()
    assert [(each["event"], each["alert"].since) for each in events[1:]] == [
        ("cleared", "2026-11-23T12:00:00"),
        ("fired", "2026-11-23T13:00:00"),
    ]


def test_given_alerts_that_cannot_be_evaluated_when_checked_then_one_failure_is_logged_and_nothing_clears(
    state_file: Path,
) -> None:
    failing = False

    def active() -> list[Alert]:
        if failing:
            raise RuntimeError("the disk is gone")
        return [alert("12")]

    notifier, events = notifier_with(active, state_file)
    notifier.check()
    failing = True
    with capture_logs() as logged:
        notifier.check()
        notifier.check()
        failing = False
        notifier.check()
    assert [(line["event"], line["reason"]) for line in logged] == [("alerts.evaluation_failed", "the disk is gone")]
    assert len(events) == 1


def test_given_a_running_notifier_when_stop_is_set_then_it_ends(
    state_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier_module, "INTERVAL_S", 0.001)
    stop = Event()
    looks: list[int] = []

    def active() -> list[Alert]:
        looks.append(1)
        if len(looks) == 3:
            stop.set()
        return []

    notifier_with(active, state_file)[0].run(stop)
    assert len(looks) == 3


def test_given_a_shop_that_falls_silent_when_it_sells_again_then_the_receiver_gets_both_events(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1)
    alerts = simulation.evaluator_at("12:00")
    with webhook_receiver() as receiver:
        hook = Webhook(Settings(alert_webhook_url=receiver.url()))
        notifier = Notifier(
            alerts.active, hook.send, lambda: "http://127.0.0.1:8050", pipeline.clock, tmp_path / "alerts.json"
        )
        notifier.check()
        simulation.sell_until("12:30", "2")
        notifier.check()
        simulation.sell_until("12:35")
        notifier.check()
        wait_until(lambda: len(receiver.accepted) == 2, "both are accepted")
        hook.close(30)
    assert [(each["event"], each["alert"]["rule"], each["page"]) for each in receiver.accepted] == [
        ("fired", "silent_shop", "http://127.0.0.1:8050/shops/2?day=2026-11-23"),
        ("cleared", "silent_shop", "http://127.0.0.1:8050/shops/2?day=2026-11-23"),
    ]
    pipeline.close()


def test_given_an_alert_that_lasts_over_a_restart_then_it_and_its_clearing_are_reported_once(state_file: Path) -> None:
    first, _ = notifier_with(lambda: [alert("12"), alert("13")], state_file)
    first.check()
    clock = ManualClock(NOON_US)
    active: list[Alert] = []
    second, events = notifier_with(lambda: active, state_file, clock)
    second.check()
    active = [alert("12", since="2026-11-23T12:02:00")]
    clock.advance(GRACE_S)
    second.check()
    assert events == []
    clock.advance(INTERVAL_S)
    second.check()
    assert [(each["event"], each["alert"].subject) for each in events] == [("cleared", "13")]
    active = []
    second.check()
    assert [(each["event"], each["alert"].subject) for each in events[1:]] == [("cleared", "12")]
    third, events = notifier_with(list, state_file, clock)
    clock.advance(GRACE_S + INTERVAL_S)
    third.check()
    assert events == []


def test_given_an_unreadable_state_file_when_the_notifier_starts_then_it_logs_this_and_starts_without_state(
    state_file: Path,
) -> None:
    state_file.write_bytes(b"[{")
    with capture_logs() as logged:
        notifier, events = notifier_with(lambda: [alert("12")], state_file)
    assert [line["event"] for line in logged] == ["alerts.state_unreadable"]
    notifier.check()
    assert [each["event"] for each in events] == ["fired"]


def test_given_a_state_file_that_cannot_be_written_when_an_alert_fires_then_it_is_still_reported(
    tmp_path: Path,
) -> None:
    notifier, events = notifier_with(lambda: [alert("12")], tmp_path / "missing" / "alerts.json")
    with capture_logs() as logged:
        notifier.check()
    assert [line["event"] for line in logged] == ["alerts.state_not_saved"]
    assert [each["event"] for each in events] == ["fired"]
