"""Watches the alerts while nobody looks, and tells the webhook which of them fired and cleared."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import structlog

from tillstream.alerts import INTERVAL_S
from tillstream.clock import Clock, utc

Row = dict[str, Any]

logger = structlog.get_logger()


class Watch:
    """Evaluates the alerts every `INTERVAL_S`. `page` is the page's address, which links are behind."""

    def __init__(
        self, standing: Callable[[], list[Row]], offer: Callable[[Row], None], page: Callable[[], str], clock: Clock
    ) -> None:
        self._standing = standing
        self._offer = offer
        self._page = page
        self._clock = clock
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
        for key in self._told.keys() - standing.keys():
            self._tell("cleared", self._told[key])
        for key, row in standing.items():
            if key not in self._told:
                self._tell("fired", row)
        self._told = standing

    def _tell(self, event: str, alert: Row) -> None:
        at = utc(self._clock.now_us()).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
        page = self._page().rstrip("/") + alert["link"]
        self._offer({"event": event, "alert": alert, "at": at, "page": page})
