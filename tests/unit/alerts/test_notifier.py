"""Notifications: each alert that fires or clears is reported once, and its event is posted in order.

The secret in the address of the webhook is never logged.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.inprocess.clock import ManualClock
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import SalesSimulation
from tests.support.receipts import NOON_US
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver
from tillstream.alerts import notifier as notifier_module
from tillstream.alerts.evaluator import Alert
from tillstream.alerts.notifier import Notifier, Webhook
from tillstream.alerts.rules import GRACE_S, INTERVAL_S
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


def event(rule: str = "silent_shop", subject: str = "12") -> dict[str, Any]:
    return {"event": "fired", "alert": {"rule": rule, "subject": subject}, "at": "", "page": ""}


def subjects(receiver: WebhookReceiver) -> list[str]:
    return [taken["alert"]["subject"] for taken in receiver.accepted]


@contextmanager
def posting(url: str, timeout_ms: int = 5_000, **options: Any) -> Iterator[Webhook]:
    settings = Settings(alert_webhook_url=url, alert_webhook_timeout_ms=timeout_ms)
    hook = Webhook(settings, **{"pauses_s": (0.01,), **options})
    try:
        yield hook
    finally:
        hook.close(30)


def test_given_a_receiver_when_events_are_sent_then_it_gets_them_as_json_in_order() -> None:
    with webhook_receiver() as receiver, posting(receiver.url()) as hook:
        for number in range(20):
            hook.send(event(subject=str(number)))
        wait_until(lambda: len(receiver.accepted) == 20, "all are accepted")
        assert subjects(receiver) == [str(number) for number in range(20)]
        assert receiver.accepted[0] == event(subject="0")
        method, path, headers = receiver.requests[0]
        assert (method, path, headers["Content-Type"]) == ("POST", "/t0ken/hook", "application/json")
        assert headers["User-Agent"].startswith("tillstream/")


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_given_a_receiver_that_fails_when_it_recovers_then_it_accepts_every_event_once_and_in_order(
    status: int,
) -> None:
    with webhook_receiver() as receiver, posting(receiver.url()) as hook:
        receiver.status = status
        for number in range(3):
            hook.send(event(subject=str(number)))
        wait_until(lambda: len(receiver.requests) >= 3, "there is another attempt")
        assert receiver.accepted == []
        receiver.status = 200
        wait_until(lambda: len(receiver.accepted) == 3, "all are accepted")
        assert subjects(receiver) == ["0", "1", "2"]


def test_given_no_receiver_when_one_starts_then_the_queued_event_is_posted() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with capture_logs() as logged, posting(f"http://127.0.0.1:{port}/t0ken/hook") as hook:
        hook.send(event(subject="waited"))
        wait_until(lambda: logged, "a warning is logged")
        with webhook_receiver(port) as receiver:
            wait_until(lambda: subjects(receiver) == ["waited"], "it is posted")


def test_given_a_receiver_that_refuses_one_event_when_others_follow_then_they_are_not_delayed() -> None:
    with webhook_receiver() as receiver, capture_logs() as logged, posting(receiver.url()) as hook:
        receiver.rejected_rules = {"refunds"}
        hook.send(event("refunds", "1"))
        hook.send(event(subject="2"))
        wait_until(lambda: subjects(receiver) == ["2"], "the other is accepted")
        assert len(receiver.requests) == 2
        assert [(line["event"], line["reason"]) for line in logged] == [("webhook.refused", "it answered 400")]


def test_given_a_redirect_when_posted_then_it_counts_as_refused_and_is_not_followed() -> None:
    with webhook_receiver() as receiver, capture_logs() as logged, posting(receiver.url()) as hook:
        receiver.status, receiver.headers = 302, {"Location": receiver.url("/elsewhere")}
        hook.send(event())
        wait_until(lambda: logged, "a warning is logged")
        assert logged[0]["reason"] == "it answered 302"
        assert [asked[:2] for asked in receiver.requests] == [("POST", "/t0ken/hook")]


def test_given_a_receiver_that_never_answers_when_an_event_is_sent_then_it_is_attempted_again() -> None:
    with webhook_receiver() as receiver, capture_logs() as logged:
        with posting(receiver.url(), timeout_ms=50) as hook:
            receiver.status = None
            hook.send(event())
            wait_until(lambda: len(receiver.requests) >= 2, "there is another attempt")
        assert "timed out" in logged[0]["reason"]


def test_given_a_receiver_that_hangs_when_the_webhook_is_closed_then_closing_does_not_wait_for_it() -> None:
    with webhook_receiver() as receiver:
        receiver.status = None
        hook = Webhook(Settings(alert_webhook_url=receiver.url()), pauses_s=(0.01,))
        hook.send(event())
        wait_until(lambda: receiver.requests, "there is an attempt")
        hook.close(0.01)
        receiver.closing.set()


def test_given_more_events_than_the_queue_holds_when_sent_then_the_oldest_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifier_module, "QUEUE_LIMIT", 5)
    with webhook_receiver() as receiver, posting(receiver.url()) as hook:
        receiver.status = 503
        for number in range(12):
            hook.send(event(subject=str(number)))
        receiver.status = 200
        wait_until(lambda: len(receiver.accepted) >= 5 and subjects(receiver)[-1] == "11", "the newest are accepted")
        assert subjects(receiver)[-5:] == ["7", "8", "9", "10", "11"]


def test_given_an_event_that_is_too_old_when_it_fails_again_then_the_next_one_is_posted() -> None:
    now = [0.0]
    with webhook_receiver() as receiver, posting(receiver.url(), now=lambda: now[0], max_age_s=60.0) as hook:
        receiver.status = 500
        hook.send(event(subject="old"))
        wait_until(lambda: receiver.requests, "there is an attempt")
        now[0] = 100.0
        hook.send(event(subject="new"))
        attempts = len(receiver.requests)
        wait_until(lambda: len(receiver.requests) > attempts + 2, "there are more attempts")
        receiver.status = 200
        wait_until(lambda: receiver.accepted, "one is accepted")
        assert subjects(receiver) == ["new"]


def test_given_a_receiver_that_is_away_for_long_then_one_warning_per_interval_is_logged_without_the_secret() -> None:
    now = [0.0]
    with webhook_receiver() as receiver, capture_logs() as logged, posting(receiver.url(), now=lambda: now[0]) as hook:
        receiver.status = 500
        hook.send(event())
        wait_until(lambda: len(receiver.requests) >= 5, "there are five attempts")
        assert len(logged) == 1
        now[0] = notifier_module.WARNING_INTERVAL_S
        wait_until(lambda: len(logged) == 2, "a second warning is logged")
        receiver.status = 200
        wait_until(lambda: len(logged) == 3, "the recovery is logged")
    assert [line["event"] for line in logged] == ["webhook.failed", "webhook.failed", "webhook.recovered"]
    assert logged[0]["host"] == f"127.0.0.1:{receiver.port}"
    assert "t0ken" not in str(logged)


def test_given_growing_pauses_when_every_attempt_fails_then_the_last_pause_repeats() -> None:
    with webhook_receiver() as receiver, posting(receiver.url(), pauses_s=(0.0, 0.05, 0.3)) as hook:
        receiver.status = 500
        began = time.monotonic()
        hook.send(event())
        wait_until(lambda: len(receiver.requests) >= 5, "there are five attempts", pause_s=0.005)
        assert time.monotonic() - began >= 0.0 + 0.05 + 0.3 + 0.3


def test_given_a_pause_between_two_attempts_when_the_webhook_is_closed_then_it_ends_at_once() -> None:
    with webhook_receiver() as receiver:
        hook = Webhook(Settings(alert_webhook_url=receiver.url()), pauses_s=(3_600.0,))
        receiver.status = 500
        hook.send(event())
        wait_until(lambda: receiver.requests, "there is an attempt")
        hook.close(30)
        assert not [thread for thread in threading.enumerate() if thread.name == "webhook" and thread is hook._thread]
