"""Watches the alerts while nobody looks, and tells the webhook which of them fired and cleared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import structlog

from tillstream.alerts.rules import GRACE_S, INTERVAL_S
from tillstream.clock import Clock, utc
from tillstream.config.data_directory import replace_file

Row = dict[str, Any]

logger = structlog.get_logger()


class Notifier:
    """Evaluates the alerts every `INTERVAL_S`. `page` is the page's address, which links are behind.

    What was told stands in the file `kept` too: an alert that goes on over a restart is told once, and
    one that ended meanwhile is told to have cleared, as soon as silence means something again.
    """

    def __init__(
        self,
        standing: Callable[[], list[Row]],
        offer: Callable[[Row], None],
        page: Callable[[], str],
        clock: Clock,
        kept: Path,
    ) -> None:
        self._standing = standing
        self._offer = offer
        self._page = page
        self._clock = clock
        self._kept = kept
        self._earlier = {(row["rule"], row["subject"]): row for row in _read(kept)}
        self._patient_until_us = clock.now_us() + (GRACE_S + INTERVAL_S) * 1_000_000
        self._told: dict[tuple[str, str, str], Row] = {}
        self._failing = False

    def run(self, stop: Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(INTERVAL_S):
            self.look()

    def look(self) -> None:
        """Evaluate once; whatever fails there is said once, until it works again."""
        try:
            standing = {(row["rule"], row["subject"], row["since"]): row for row in self._standing()}
        except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on and says so
            if not self._failing:
                logger.warning("alerts.failed", reason=str(error))
            self._failing = True
            return
        self._failing = False
        before = self._known()
        for key in self._told.keys() - standing.keys():
            self._tell("cleared", self._told[key])
        for key, row in standing.items():
            if key not in self._told and self._earlier.pop(key[:2], None) is None:
                self._tell("fired", row)
        self._told = standing
        if self._clock.now_us() >= self._patient_until_us:
            for row in self._earlier.values():
                self._tell("cleared", row)
            self._earlier = {}
        if self._known() != before:
            self._keep()

    def _known(self) -> set[tuple[str, ...]]:
        return {*self._told, *self._earlier}

    def _keep(self) -> None:
        try:
            replace_file(self._kept, msgspec.json.encode([*self._earlier.values(), *self._told.values()]))
        except OSError as error:
            logger.warning("alerts.not_kept", file=str(self._kept), reason=str(error))

    def _tell(self, event: str, alert: Row) -> None:
        at = utc(self._clock.now_us()).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        page = self._page().rstrip("/") + alert["link"]
        self._offer({"event": event, "alert": alert, "at": at, "page": page})


def _read(kept: Path) -> list[Row]:
    """What was told before; of a file that cannot be read nothing, and that is said."""
    try:
        return [
            row for row in msgspec.json.decode(kept.read_bytes(), type=list[Row]) if {"rule", "subject"} <= set(row)
        ]
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("alerts.forgotten", file=str(kept), reason=str(error))
        return []
