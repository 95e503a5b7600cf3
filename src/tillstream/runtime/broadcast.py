"""Tells the broker's subscribers the running figures, at the seed's pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import msgspec
import structlog

INTERVAL_S = 0.4
"""Between two messages while receipts flow: a subscriber hears of them every half second at least."""

LAST_TICKS = 5
"""So often the same is told behind the last commit: what flows slowly is heard as well."""

logger = structlog.get_logger()

_encode = msgspec.json.Encoder(decimal_format="number").encode

Send = Callable[[Mapping[str, bytes]], None]
"""Takes JSON by the names of exchanges."""


class Broadcast:
    """Reads figures and sends them, in a thread of its own that nobody waits for. `notify` may come from any thread."""

    def __init__(self, read: Callable[[], Mapping[str, Any]], send: Send) -> None:
        self._read = read
        self._send = send
        self._ticks = 0
        self._failing = False

    def notify(self) -> None:
        """There is something new."""
        self._ticks = LAST_TICKS

    def run(self, stop: Event) -> None:
        """Send every `INTERVAL_S` while there is something new, until `stop` is set."""
        while not stop.wait(INTERVAL_S):
            if self._ticks:
                self._ticks -= 1
                self.tell()

    def tell(self) -> None:
        """Send the figures as they are; what fails is said once, until it works again, and the next ones are sent."""
        try:
            self._send({name: _encode(each) for name, each in self._read().items()})
        except Exception as error:  # noqa: BLE001 - whatever it is, it says so and goes on: figures are told again
            if not self._failing:
                logger.warning("broadcast_failed", reason=str(error))
            self._failing = True
            return
        if self._failing:
            logger.info("broadcast_back")
        self._failing = False
