"""The webhook: events arrive in order and are attempted again; the secret in its address is never logged."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import wait_until
from tests.support.webhook_receiver import WebhookReceiver, webhook_receiver
from tillstream.alerts import webhook
from tillstream.alerts.webhook import Webhook
from tillstream.config.settings import Settings


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
    monkeypatch.setattr(webhook, "QUEUE_LIMIT", 5)
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
        now[0] = webhook.WARNING_INTERVAL_S
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
