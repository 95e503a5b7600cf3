"""The notifier: evaluates the alerts at regular intervals and sends each one that fires or clears to the webhook."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import structlog

from tillstream.alerts.evaluator import Alert
from tillstream.alerts.rules import GRACE_S, INTERVAL_S
from tillstream.clock import Clock, utc
from tillstream.config.files import replace_file
from tillstream.queries.serialization import zulu

logger = structlog.get_logger()


class Notifier:
    """Sends an event for each alert that fires or clears. `page` returns the address of the page, for links.

    The reported alerts are saved in `state_file`. After a restart an alert that is still active is not reported
    again; one that ended in between is reported as cleared once silence can be judged again.
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
        """Evaluate once and report the changes. Only the first of several consecutive failures is logged."""
        try:
            active = {(alert.rule, alert.subject, alert.since): alert for alert in self._active()}
        except Exception as error:  # noqa: BLE001 - the notifier must survive any failure
            if not self._failing:
                logger.warning("alerts.evaluation_failed", reason=str(error))
            self._failing = True
            return
        self._failing = False
        before = self._state()
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
        if self._state() != before:
            self._save()

    def _state(self) -> set[tuple[str, ...]]:
        return {*self._reported, *self._before_restart}

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
    """The alerts that were reported before the restart; none if the file cannot be read."""
    try:
        return msgspec.json.decode(state_file.read_bytes(), type=list[Alert])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("alerts.state_unreadable", file=str(state_file), reason=str(error))
        return []
