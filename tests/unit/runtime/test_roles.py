"""Broadcasting the running figures: the interval, the repeats after the last commit, and failures.

The processes themselves run in tests/e2e.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from threading import Event
from typing import Any

from structlog.testing import capture_logs

from tillstream.runtime.roles import BROADCAST_INTERVAL_S, BROADCAST_REPEATS, Broadcast


class Ticks(Event):
    """A stop event that is set after a number of intervals, and calls a function in some of them."""

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


def test_figures_are_published_at_each_interval_and_repeated_after_the_last_commit() -> None:
    published: list[Mapping[str, bytes]] = []
    broadcast = Broadcast(lambda: {"count": {"sum": Decimal("277681.60"), "count": 60620}}, published.append)
    ticks = Ticks(30, dict.fromkeys(range(4, 11), broadcast.notify))
    broadcast.run(ticks)
    assert published == [{"count": b'{"sum":277681.60,"count":60620}'}] * (7 + BROADCAST_REPEATS - 1)
    assert set(ticks.waited) == {BROADCAST_INTERVAL_S}
    assert BROADCAST_INTERVAL_S < 0.5


def test_a_failure_is_logged_once_and_the_next_figures_are_published() -> None:
    def outcomes() -> Iterator[OSError | None]:
        yield from (OSError("the broker is away"), OSError("the broker is away"), None, OSError("again"))

    outcome = outcomes()

    def send(_: Mapping[str, bytes]) -> None:
        if (error := next(outcome)) is not None:
            raise error

    broadcast = Broadcast(lambda: {"count": {}}, send)
    with capture_logs() as logged:
        for _ in range(4):
            broadcast.publish()
    assert [(each["event"], each.get("reason")) for each in logged] == [
        ("broadcast.failed", "the broker is away"),
        ("broadcast.recovered", None),
        ("broadcast.failed", "again"),
    ]
