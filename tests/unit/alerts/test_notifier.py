"""The watch: what fired and what cleared between two looks is told once, with the page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import SalesSimulation
from tests.support.receipts import NOON_US
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import webhook_receiver
from tillstream.alerts import notifier as watching
from tillstream.alerts.notifier import Notifier
from tillstream.alerts.rules import GRACE_S, INTERVAL_S
from tillstream.alerts.webhook import Webhook
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings

Rows = list[dict[str, Any]]


def alert(subject: str, since: str = "2026-11-23T12:00:00", **values: Any) -> dict[str, Any]:
    link = f"/shops/{subject}?day=2026-11-23"
    return {"rule": "silent_shop", "subject": subject, "since": since, "values": values, "link": link}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "alerts.json"


def watch(standing: Callable[[], Rows], kept: Path, clock: ManualClock | None = None) -> tuple[Notifier, Rows]:
    told: Rows = []
    return Notifier(standing, told.append, lambda: "http://till.example/", clock or ManualClock(NOON_US), kept), told


def test_given_alerts_that_come_and_go_when_looked_at_then_each_is_told_once_as_it_fires_and_clears(
    kept: Path,
) -> None:
    standing: Rows = []
    watch_, told = watch(lambda: standing, kept)
    watch_.check()
    assert told == []
    standing = [alert("12", minutes=20)]
    watch_.check()
    assert told == [
        {
            "event": "fired",
            "alert": alert("12", minutes=20),
            "at": "2026-11-23T11:00:00.000Z",
            "page": "http://till.example/shops/12?day=2026-11-23",
        }
    ]
    standing = [alert("12", minutes=21), alert("13", minutes=20)]
    watch_.check()
    assert [(each["event"], each["alert"]["subject"]) for each in told[1:]] == [("fired", "13")]
    standing = [alert("13", minutes=21)]
    watch_.check()
    assert told[2:] == [{**told[0], "event": "cleared", "alert": alert("12", minutes=21)}]


def test_given_an_alert_that_cleared_and_fired_again_when_looked_at_then_both_are_told(kept: Path) -> None:
    standing = [alert("12")]
    watch_, told = watch(lambda: standing, kept)
    watch_.check()
    standing = [alert("12", since="2026-11-23T13:00:00")]
    watch_.check()
    assert [(each["event"], each["alert"]["since"]) for each in told[1:]] == [
        ("cleared", "2026-11-23T12:00:00"),
        ("fired", "2026-11-23T13:00:00"),
    ]


def test_given_alerts_that_cannot_be_evaluated_when_looked_at_then_it_says_so_once_and_nothing_clears(
    kept: Path,
) -> None:
    failing = False

    def standing() -> Rows:
        if failing:
            raise RuntimeError("the disk is gone")
        return [alert("12")]

    watch_, told = watch(standing, kept)
    watch_.check()
    failing = True
    with capture_logs() as said:
        watch_.check()
        watch_.check()
        failing = False
        watch_.check()
    assert [(line["event"], line["reason"]) for line in said] == [("alerts.evaluation_failed", "the disk is gone")]
    assert len(told) == 1


def test_given_a_watch_that_runs_when_told_to_stop_then_it_ends(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL_S", 0.001)
    stop = Event()
    looks: list[int] = []

    def standing() -> Rows:
        looks.append(1)
        if len(looks) == 3:
            stop.set()
        return []

    watch(standing, kept)[0].run(stop)
    assert len(looks) == 3


def test_given_a_shop_that_falls_silent_when_it_sells_again_then_the_receiver_hears_of_both(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    simulation = SalesSimulation(pipeline)
    simulation.sell_past_weeks(1)
    alerts = simulation.evaluator_at("12:00")
    with webhook_receiver() as receiver:
        hook = Webhook(Settings(alert_webhook_url=receiver.url()))
        watch_ = Notifier(alerts.active, hook.send, lambda: "http://127.0.0.1:8050", pipeline.clock, tmp_path / "told")
        watch_.check()
        simulation.sell_until("12:30", "2")
        watch_.check()
        simulation.sell_until("12:35")
        watch_.check()
        wait_until(lambda: len(receiver.accepted) == 2, "both are taken")
        hook.close(30)
    assert [(each["event"], each["alert"]["rule"], each["page"]) for each in receiver.accepted] == [
        ("fired", "silent_shop", "http://127.0.0.1:8050/shops/2?day=2026-11-23"),
        ("cleared", "silent_shop", "http://127.0.0.1:8050/shops/2?day=2026-11-23"),
    ]
    pipeline.close()


def test_given_an_alert_over_a_restart_when_it_goes_on_then_it_is_told_once_and_so_is_its_clearing(kept: Path) -> None:
    first, _ = watch(lambda: [alert("12"), alert("13")], kept)
    first.check()
    clock = ManualClock(NOON_US)
    standing: Rows = []
    second, told = watch(lambda: standing, kept, clock)
    second.check()
    standing = [alert("12", since="2026-11-23T12:02:00")]
    clock.advance(GRACE_S)
    second.check()
    assert told == []
    clock.advance(INTERVAL_S)
    second.check()
    assert [(each["event"], each["alert"]["subject"]) for each in told] == [("cleared", "13")]
    standing = []
    second.check()
    assert [(each["event"], each["alert"]["subject"]) for each in told[1:]] == [("cleared", "12")]
    third, told = watch(list, kept, clock)
    clock.advance(GRACE_S + INTERVAL_S)
    third.check()
    assert told == []


def test_given_a_file_that_cannot_be_read_when_the_watch_starts_then_it_says_so_and_begins_anew(kept: Path) -> None:
    kept.write_bytes(b"[{")
    with capture_logs() as said:
        watch_, told = watch(lambda: [alert("12")], kept)
    assert [line["event"] for line in said] == ["alerts.state_unreadable"]
    watch_.check()
    assert [each["event"] for each in told] == ["fired"]


def test_given_a_file_that_cannot_be_written_when_an_alert_fires_then_it_is_told_all_the_same(tmp_path: Path) -> None:
    watch_, told = watch(lambda: [alert("12")], tmp_path / "missing" / "alerts.json")
    with capture_logs() as said:
        watch_.check()
    assert [line["event"] for line in said] == ["alerts.state_not_saved"]
    assert [each["event"] for each in told] == ["fired"]
