"""The webhook: posts alert events to another program, in its own thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import structlog

from tillstream.client.control import ControlClient, RequestFailed
from tillstream.config.settings import Settings

QUEUE_LIMIT = 1_000
"""The maximum number of events in the queue. The oldest event is dropped first."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""The pauses between two attempts. The last pause repeats."""

MAX_AGE_S = 3_600.0
"""The age at which an event is dropped."""

WARNING_INTERVAL_S = 600.0
"""The minimum interval between two log events about failures."""

logger = structlog.get_logger()


class _QueuedEvent(NamedTuple):
    body: bytes
    queued_s: float


class Webhook:
    """Posts events in order. An event is retried until it is accepted, refused or too old.

    Log events contain only the host of the receiver, because the rest of its address is a secret.
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
        self._queue: deque[_QueuedEvent] = deque(maxlen=QUEUE_LIMIT)
        self._changed = Condition()
        self._closed = False
        self._dropped = 0
        self._warned_s: float | None = None
        # A receiver that hangs must not delay the end of the process, so this is a daemon thread.
        self._thread = Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def send(self, event: dict[str, Any]) -> None:
        """Queue an event. It is posted as JSON. Never blocks."""
        with self._changed:
            if len(self._queue) == QUEUE_LIMIT:
                self._dropped += 1
            self._queue.append(_QueuedEvent(msgspec.json.encode(event), self._now()))
            self._changed.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop the thread after its current attempt. Returns at the latest after the time-out."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                event = self._queue[0]
            self._deliver(event)

    def _deliver(self, event: _QueuedEvent) -> None:
        """Post the event until it is accepted, refused, too old, or dropped from the queue."""

        def wait(reason: str, pause_s: float) -> bool:
            self._warn(reason)
            return self._now() - event.queued_s < self._max_age_s and self._pause(event, pause_s)

        try:
            response = self._client.send(self._url, event.body, {"Content-Type": "application/json"}, wait)
        except RequestFailed:
            pass
        else:
            if 200 <= response.status < 300:
                self._report_recovery()
            elif not response.retryable:
                logger.warning("webhook.refused", host=self._host, reason=f"it answered {response.status}")
        with self._changed:
            if self._queue and self._queue[0] is event:
                self._queue.popleft()

    def _pause(self, event: _QueuedEvent, pause_s: float) -> bool:
        """Wait for the next attempt. Returns False if the webhook was closed or the event was dropped."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._closed or self._queue[0] is not event, pause_s)

    def _warn(self, reason: str) -> None:
        now = self._now()
        if self._warned_s is None or now - self._warned_s >= WARNING_INTERVAL_S:
            self._warned_s = now
            waiting = len(self._queue)
            logger.warning("webhook.failed", host=self._host, reason=reason, waiting=waiting, dropped=self._dropped)

    def _report_recovery(self) -> None:
        if self._warned_s is not None:
            self._warned_s = None
            logger.info("webhook.recovered", host=self._host, dropped=self._dropped)
