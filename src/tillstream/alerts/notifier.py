"""Notifications: the notifier creates an event when an alert fires or clears, and the webhook posts the event."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog

from tillstream.alerts.evaluator import Alert
from tillstream.alerts.rules import GRACE_S, INTERVAL_S
from tillstream.client.control import ControlClient, RequestFailed
from tillstream.clock import Clock, utc
from tillstream.config.files import replace_file
from tillstream.config.settings import Settings
from tillstream.queries.serialization import zulu

QUEUE_LIMIT = 1_000
"""The maximum number of events in the queue. If the queue is full, a new event replaces the oldest."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""The pauses between the attempts to post an event. The last pause repeats."""

MAX_AGE_S = 3_600.0
"""The age at which an event is dropped."""

WARNING_INTERVAL_S = 600.0
"""The minimum interval between two logged warnings about failed attempts."""

logger = structlog.get_logger()


class Notifier:
    """Sends an event for each alert that fires or clears.

    `active` returns the active alerts, `send` queues an event, and `page` returns the URL of the dashboard for links.
    `state_file` stores the reported alerts. If an alert is still active after a restart, it is not reported again. If
    it has cleared in the meantime, this is not reported until `GRACE_S + INTERVAL_S` seconds after the restart. Before
    that, the rules that detect silent shops and tills are not evaluated, so their alerts only seem to have cleared.
    """

    def __init__(
        self,
        active: Callable[[], list[Alert]],
        send: Callable[[dict[str, Any]], None],
        page: Callable[[], str],
        clock: Clock,
        state_file: Path,
    ) -> None:
        self._active = active
        self._send = send
        self._page = page
        self._clock = clock
        self._state_file = state_file
        self._before_restart = {(alert.rule, alert.subject): alert for alert in _read(state_file)}
        self._grace_ends_us = clock.now_us() + (GRACE_S + INTERVAL_S) * 1_000_000
        self._reported: dict[tuple[str, str, str], Alert] = {}
        self._failing = False

    def run(self, stop: Event) -> None:
        """Check every `INTERVAL_S` seconds until `stop` is set."""
        while not stop.wait(INTERVAL_S):
            self.check()

    def check(self) -> None:
        """Report the alerts that fired or cleared since the last check.

        If the evaluation of the rules fails several times in a row, only the first failure is logged.
        """
        try:
            active = {(alert.rule, alert.subject, alert.since): alert for alert in self._active()}
        except Exception as error:  # noqa: BLE001 - the notifier must survive any failure
            if not self._failing:
                logger.warning("alerts.evaluation_failed", reason=str(error))
            self._failing = True
            return
        self._failing = False
        before = {*self._reported, *self._before_restart}
        for key in self._reported.keys() - active.keys():
            self._report("cleared", self._reported[key])
        for key, alert in active.items():
            if key not in self._reported and self._before_restart.pop(key[:2], None) is None:
                self._report("fired", alert)
        self._reported = active
        if self._clock.now_us() >= self._grace_ends_us:
            for alert in self._before_restart.values():
                self._report("cleared", alert)
            self._before_restart = {}
        if {*self._reported, *self._before_restart} != before:
            self._save()

    def _save(self) -> None:
        alerts = [*self._before_restart.values(), *self._reported.values()]
        try:
            replace_file(self._state_file, msgspec.json.encode(alerts))
        except OSError as error:
            logger.warning("alerts.state_not_saved", file=str(self._state_file), reason=str(error))

    def _report(self, event: str, alert: Alert) -> None:
        page = self._page().rstrip("/") + alert.link
        self._send({"event": event, "alert": alert, "at": zulu(utc(self._clock.now_us())), "page": page})


def _read(state_file: Path) -> list[Alert]:
    """Return the alerts that were reported before the restart. A file that cannot be read counts as empty."""
    try:
        return msgspec.json.decode(state_file.read_bytes(), type=list[Alert])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("alerts.state_unreadable", file=str(state_file), reason=str(error))
        return []


class _QueuedEvent(NamedTuple):
    body: bytes
    queued_s: float


class Webhook:
    """Posts events in order. An event is retried until it is accepted, refused or too old.

    The log shows only the host of the receiver, because the rest of the receiver's URL is a secret.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        max_age_s: float = MAX_AGE_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = settings.alert_webhook_url
        self._host = urlsplit(self._url).netloc
        timeout_s = settings.alert_webhook_timeout_ms / 1_000
        self._client = ControlClient(timeout_s, pauses_s=pauses_s, limit_bytes=0)
        self._max_age_s = max_age_s
        self._now = now
        self._queue: SimpleQueue[_QueuedEvent | None] = SimpleQueue()
        self._closing = Event()
        self._dropped = 0
        self._warned_s: float | None = None
        # This is a daemon thread, so a receiver that hangs does not delay the end of the process.
        self._thread = Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def send(self, event: dict[str, Any]) -> None:
        """Queue an event. It is posted as JSON. Never blocks."""
        if self._queue.qsize() >= QUEUE_LIMIT:
            with suppress(Empty):
                self._queue.get_nowait()
                self._dropped += 1
        self._queue.put(_QueuedEvent(msgspec.json.encode(event), self._now()))

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop the thread after its current attempt. Wait for the thread for at most `timeout_s` seconds."""
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None and not self._closing.is_set():
            self._deliver(event)

    def _deliver(self, event: _QueuedEvent) -> None:
        def wait(reason: str, pause_s: float) -> bool:
            self._warn(reason)
            return self._now() - event.queued_s < self._max_age_s and not self._closing.wait(pause_s)

        try:
            response = self._client.send(self._url, event.body, {"Content-Type": "application/json"}, wait)
        except RequestFailed:
            return
        if 200 <= response.status < 300:
            self._report_recovery()
        elif not response.retryable:
            logger.warning("webhook.refused", host=self._host, reason=f"it answered {response.status}")

    def _warn(self, reason: str) -> None:
        now = self._now()
        if self._warned_s is None or now - self._warned_s >= WARNING_INTERVAL_S:
            self._warned_s = now
            waiting = self._queue.qsize() + 1
            logger.warning("webhook.failed", host=self._host, reason=reason, waiting=waiting, dropped=self._dropped)

    def _report_recovery(self) -> None:
        if self._warned_s is not None:
            self._warned_s = None
            logger.info("webhook.recovered", host=self._host, dropped=self._dropped)
