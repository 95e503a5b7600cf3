"""Given figures to tell; when receipts come, stop or cannot be told; then subscribers hear of them at the pace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from threading import Event
from typing import Any

from structlog.testing import capture_logs

from tillstream.runtime.broadcast import INTERVAL_S, LAST_TICKS, Broadcast


class Ticks(Event):
    """A stop that lets so many intervals pass, doing something at some of them."""

    def __init__(self, count: int, at: Mapping[int, Any]) -> None:
        super().__init__()
        self.count, self.at, self.waited = count, at, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited.append(timeout)
        number = len(self.waited)
        if number in self.at:
            self.at[number]()
        return number > self.count


def test_while_receipts_come_it_is_told_twice_a_second_and_then_a_little_longer() -> None:
    told: list[Mapping[str, bytes]] = []
    broadcast = Broadcast(lambda: {"count": {"sum": Decimal("277681.60"), "count": 60620}}, told.append)
    ticks = Ticks(30, dict.fromkeys(range(4, 11), broadcast.notify))
    broadcast.run(ticks)
    assert told == [{"count": b'{"sum":277681.60,"count":60620}'}] * (7 + LAST_TICKS - 1)
    assert set(ticks.waited) == {INTERVAL_S}
    assert INTERVAL_S < 0.5


def test_what_cannot_be_told_is_said_once_and_the_next_is_told() -> None:
    def answers() -> Iterator[OSError | None]:
        yield from (OSError("the broker is away"), OSError("the broker is away"), None, OSError("again"))

    coming = answers()

    def send(_: Mapping[str, bytes]) -> None:
        if (error := next(coming)) is not None:
            raise error

    broadcast = Broadcast(lambda: {"count": {}}, send)
    with capture_logs() as logged:
        for _ in range(4):
            broadcast.tell()
    assert [(each["event"], each.get("reason")) for each in logged] == [
        ("broadcast_failed", "the broker is away"),
        ("broadcast_back", None),
        ("broadcast_failed", "again"),
    ]
