"""A simulation of steady sales, for tests of the alerts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.inprocess.pipeline import Pipeline, head
from tests.support.receipts import body
from tillstream.alerts.evaluator import Alert, AlertEvaluator
from tillstream.log.base import Batch
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

TODAY = date(2026, 11, 23)
OPENS, CLOSES = time(7), time(19)
INTERVAL = timedelta(seconds=90)
"""The time between two receipts of a till."""

TILLS = (("1", "1"), ("1", "2"), ("2", "1"), ("3", "1"))


class SalesSimulation:
    """Sells a receipt of 5.00 € every 90 seconds at each till, from 07:00 to 19:00 in the time zone of its shop.

    The receipts arrive without delay. `intervals` has the time between receipts for shops that sell at another rate.
    """

    def __init__(self, pipeline: Pipeline, shops: StoreList | None = None, zones: dict[str, str] | None = None) -> None:
        self.pipeline = pipeline
        self.shops = shops or StoreList()
        self._zones = {"": pipeline.settings.zone, **(zones or {})}
        self._number = 0
        self._sold_until = datetime.combine(TODAY, time())
        self.intervals: dict[str, timedelta] = {}
        self.tills: tuple[tuple[str, str], ...] = TILLS

    def sell_past_weeks(self, *weeks: int) -> None:
        """Sell on the same weekday of earlier weeks. Each argument is a number of weeks before today."""
        for week in weeks or (1, 2):
            day = datetime.combine(TODAY - timedelta(weeks=week), time())
            self._sell(day, day + timedelta(days=1), (), body)

    def evaluator_at(self, clock: str = "09:00", *without: str) -> AlertEvaluator:
        """Sell until a time of today, and return an evaluator that was started three minutes before."""
        moment = self._moment(clock)
        self.sell_until((moment - timedelta(minutes=3)).time().isoformat(), *without)
        alerts = self.evaluator()
        alerts.active()
        self.sell_until(clock, *without)
        return alerts

    def evaluator(self) -> AlertEvaluator:
        pipeline = self.pipeline
        calendar = Calendar(pipeline.settings, pipeline.clock)
        return AlertEvaluator(pipeline.database, pipeline.log, pipeline.settings, calendar, lambda: self.shops)

    def sell_until(self, clock: str, *without: str, make_receipt: Callable[..., dict[str, Any]] = body) -> None:
        """Sell until a time of today, and set the clock to it. `without` excludes shops (`2`) or tills (`1/2`)."""
        moment = self._moment(clock)
        self._sell(self._sold_until, moment, without, make_receipt)
        self._sold_until = moment
        now = moment.replace(tzinfo=ZoneInfo(self._zones[""]))
        self.pipeline.clock.advance((now - datetime.fromtimestamp(0, UTC)).total_seconds() - self._now_s())

    def _now_s(self) -> float:
        return self.pipeline.clock.now_us() / 1_000_000

    def _moment(self, clock: str) -> datetime:
        return datetime.combine(TODAY, time.fromisoformat(clock))

    def _in_zone(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Convert a local time of the chain to another time zone."""
        return moment.replace(tzinfo=ZoneInfo(self._zones[""])).astimezone(zone).replace(tzinfo=None)

    def _sell(
        self, start: datetime, end: datetime, without: tuple[str, ...], make_receipt: Callable[..., dict[str, Any]]
    ) -> None:
        batch = Batch()
        for store, till in self.tills:
            if store in without or f"{store}/{till}" in without:
                continue
            zone = ZoneInfo(self._zones.get(store, self._zones[""]))
            interval = self.intervals.get(store, INTERVAL)
            for moment in _moments(self._in_zone(start, zone), self._in_zone(end, zone), interval):
                self._number += 1
                receipt = make_receipt(
                    storeID=store, terminalID=till, cashReceiptID=str(self._number), date=f"{moment:%Y-%m-%d %H:%M:%S}"
                )
                received_us = round(moment.replace(tzinfo=zone).timestamp() * 1_000_000)
                batch.add(head(receipt, received_us), json.dumps(receipt).encode())
        if len(batch):
            self.pipeline.log.append(batch)
            self.pipeline.drain()


def _moments(start: datetime, end: datetime, interval: timedelta) -> Iterator[datetime]:
    """The times of sales from `start` until before `end`: multiples of the interval since midnight, in opening hours."""
    midnight = datetime.combine(start.date(), time())
    moment = midnight + -(-(start - midnight) // interval) * interval
    while moment < end:
        if OPENS <= moment.time() < CLOSES:
            yield moment
        moment += interval


def active_alerts(alerts: AlertEvaluator, rule: str) -> list[Alert]:
    """The active alerts of one rule."""
    return [alert for alert in alerts.active() if alert.rule == rule]
