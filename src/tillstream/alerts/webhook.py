"""The webhook: posts alerts to another program as they fire and clear, in a thread that nobody waits for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from threading import Condition, Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

import msgspec
import structlog

from tillstream import __version__
from tillstream.config.settings import Settings

WAITING_LIMIT = 1_000
"""Most events that wait for the receiver; the oldest go first."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Between two tries; the last again and again."""

KEPT_S = 3_600.0
"""How long an event is tried."""

COMPLAINT_INTERVAL_S = 600.0
"""How often at most it says that nothing gets through."""

_TRY_AGAIN = (408, 429)

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Event:
    body: bytes
    taken: float


class _Refused(Exception):
    """The receiver doesn't want the event; it would not want it later either."""


def _opener() -> OpenerDirector:
    """What speaks HTTP and HTTPS, by a proxy where the environment names one, and follows no redirect: that would be a
    GET without the event."""
    opener = OpenerDirector()
    for handler in (ProxyHandler, HTTPHandler, HTTPSHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
        opener.add_handler(handler())
    return opener


class Webhook:
    """Posts events in order, each until it is taken, refused or too old. `offer` never waits.

    Its log lines name the receiver's host alone: the rest of the address is a secret.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        kept_s: float = KEPT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = settings.alert_webhook_url
        self._host = urlsplit(self._url).netloc
        self._timeout_s = settings.alert_webhook_timeout_ms / 1_000
        self._pauses_s = pauses_s
        self._kept_s = kept_s
        self._now = now
        self._opener = _opener()
        self._events: deque[_Event] = deque(maxlen=WAITING_LIMIT)
        self._changed = Condition()
        self._closed = False
        self._dropped = 0
        self._complained: float | None = None
        # A daemon: a receiver that lets it wait must not hold up the end of the process.
        self._thread = Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def offer(self, event: dict[str, Any]) -> None:
        """Have the event posted as JSON, behind those that wait."""
        with self._changed:
            if len(self._events) == WAITING_LIMIT:
                self._dropped += 1
            self._events.append(_Event(msgspec.json.encode(event), self._now()))
            self._changed.notify()

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop, once what is being posted is through, or after the time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (event := self._next()) is not None:
            self._deliver(event)

    def _next(self) -> _Event | None:
        with self._changed:
            while not self._events and not self._closed:
                self._changed.wait()
            return None if self._closed else self._events[0]

    def _deliver(self, event: _Event) -> None:
        """Try until it is taken, refused, too old, or pushed out by newer ones."""
        tries = 0
        while not self._closed:
            try:
                self._post(event.body)
            except _Refused as error:
                logger.warning("webhook.refused", host=self._host, reason=str(error))
                break
            except (OSError, HTTPException, ValueError) as error:
                self._complain(error)
            else:
                self._recovered()
                break
            if self._now() - event.taken >= self._kept_s or not self._pause(event, tries):
                break
            tries += 1
        with self._changed:
            if self._events and self._events[0] is event:
                self._events.popleft()

    def _post(self, body: bytes) -> None:
        """Raises `_Refused` where trying again is no use, `OSError` and `HTTPException` where it is."""
        headers = {"Content-Type": "application/json", "User-Agent": f"tillstream/{__version__}"}
        request = Request(self._url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._timeout_s):
                return
        except HTTPError as error:
            with error:
                if error.code < 500 and error.code not in _TRY_AGAIN:
                    raise _Refused(f"it answered {error.code}") from None
                raise OSError(f"it answered {error.code}") from None

    def _pause(self, event: _Event, tries: int) -> bool:
        """Wait before the next try; whether the event still is the one to be tried."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._events[0] is not event,
                self._pauses_s[min(tries, len(self._pauses_s) - 1)],
            )
            return self._events[0] is event

    def _complain(self, error: Exception) -> None:
        now = self._now()
        if self._complained is None or now - self._complained >= COMPLAINT_INTERVAL_S:
            self._complained = now
            with self._changed:
                waiting, dropped = len(self._events), self._dropped
            logger.warning("webhook.failed", host=self._host, reason=str(error), waiting=waiting, dropped=dropped)

    def _recovered(self) -> None:
        if self._complained is not None:
            self._complained = None
            logger.info("webhook.goes_on", host=self._host, dropped=self._dropped)
