"""Publishes the running figures of the day to the subscribers on the broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import msgspec
import structlog

INTERVAL_S = 0.4
"""Time between two messages while receipts arrive. Subscribers expect one at least every 0.5 s."""

REPEATS = 5
"""The number of messages after the last commit, so that subscribers also see figures that change slowly."""

logger = structlog.get_logger()

_encode = msgspec.json.Encoder(decimal_format="number").encode

Send = Callable[[Mapping[str, bytes]], None]
"""Publishes JSON messages by name of exchange."""


class Broadcast:
    """Reads the figures and publishes them in its own thread. `notify` is safe from any thread."""

    def __init__(self, read: Callable[[], Mapping[str, Any]], send: Send) -> None:
        self._read = read
        self._send = send
        self._remaining = 0
        self._failing = False

    def notify(self) -> None:
        """Request messages after a commit."""
        self._remaining = REPEATS

    def run(self, stop: Event) -> None:
        """Publish every `INTERVAL_S` after a commit, until `stop` is set."""
        while not stop.wait(INTERVAL_S):
            if self._remaining:
                self._remaining -= 1
                self.publish()

    def publish(self) -> None:
        """Publish the current figures. Only the first of several failures in a row is logged."""
        try:
            self._send({name: _encode(each) for name, each in self._read().items()})
        except Exception as error:  # noqa: BLE001 - any error is logged, and the next message has the figures again
            if not self._failing:
                logger.warning("broadcast.failed", reason=str(error))
            self._failing = True
            return
        if self._failing:
            logger.info("broadcast.recovered")
        self._failing = False
