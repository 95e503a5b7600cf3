"""Evaluation of the alert rules. The result is the list of active alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from threading import Lock

from msgspec import Struct

from tillstream.alerts.conditions import MINUTE, Finding, Values, findings
from tillstream.alerts.context import AlertContexts, ChainSilence, Lag
from tillstream.alerts.rules import GRACE_S, INTERVAL_S, LIMIT, RULES
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader
from tillstream.log.base import Log
from tillstream.queries.serialization import LocalTime
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

_LAG_NOTES = 1_000
_ORDER = {rule.name: number for number, rule in enumerate(RULES)}


class Alert(Struct, frozen=True):
    """An active alert.

    `since` is the time at which it fired, in the chain's zone. `subject` is the id of a store or a product,
    `store/till`, or empty for the whole chain. `values` are the figures in the text of the alert.
    """

    rule: str
    level: str
    since: LocalTime
    subject: str
    title: str
    values: Values
    link: str


class Alerts(Struct, frozen=True):
    """Active alerts, the worst first, and the number of further alerts."""

    alerts: list[Alert]
    more: int


class AlertEvaluator:
    """Evaluates the rules for all callers, at most once every `INTERVAL_S` seconds. Thread-safe.

    Its methods raise `DatabaseUnavailable` and `LogUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        log: Log,
        settings: Settings,
        calendar: Calendar,
        stores: Callable[[], StoreList] = StoreList,
    ) -> None:
        self._database = database
        self._log = log
        self._settings = settings
        self._calendar = calendar
        self._stores = stores
        self._contexts = AlertContexts(settings, calendar)
        self._lag = LagMeter()
        self._started_us = calendar.now_us()
        self._evaluated_us: int | None = None
        self._silence: ChainSilence | None = None
        self._active: list[Alert] = []
        self._evaluating = Lock()

    def current(self) -> Alerts:
        """Return the worst `LIMIT` alerts, and the number of further alerts."""
        alerts = self.active()
        return Alerts(alerts[:LIMIT], max(0, len(alerts) - LIMIT))

    def active(self) -> list[Alert]:
        """Return all active alerts, the worst first."""
        # During an evaluation, other threads get the previous result. They wait only for the first evaluation.
        if not self._evaluating.acquire(blocking=self._evaluated_us is None):
            return self._active
        try:
            now_us = self._calendar.now_us()
            if self._evaluated_us is None or now_us - self._evaluated_us >= INTERVAL_S * 1_000_000:
                with self._database.snapshot() as reader:
                    self._evaluate(reader, now_us)
                self._evaluated_us = now_us
            return self._active
        finally:
            self._evaluating.release()

    def counts(self) -> dict[str, int]:
        """Return the number of active alerts of each enabled rule at the last evaluation."""
        counts = Counter(alert.rule for alert in self._active)
        return {rule.name: counts[rule.name] for rule in RULES if rule.threshold(self._settings)}

    def _evaluate(self, reader: Reader, now_us: int) -> None:
        lag = self._lag.measure(reader, self._log, now_us)
        moment_us = now_us - lag.seconds * 1_000_000
        context = self._contexts.read(reader, moment_us, self._stores(), lag, self._silence)
        silences = now_us - self._started_us >= GRACE_S * 1_000_000
        self._active = self._activate(findings(context, silences))
        for alert in self._active:
            if alert.rule == "silent_chain":
                minutes = int(alert.values["minutes"])
                self._silence = ChainSilence(context.moment - minutes * MINUTE, context.moment)

    def _activate(self, found: Iterable[Finding]) -> list[Alert]:
        """Return the alerts that fire now or have not cleared yet, the worst first."""
        now = self._calendar.local_now().isoformat(timespec="seconds")
        since = {(alert.rule, alert.subject): alert.since for alert in self._active}
        active: list[Alert] = []
        covered: set[str] = set()
        for finding in sorted(found, key=_order):
            rule, key = finding.rule, (finding.rule.name, finding.subject)
            fires = finding.significant and finding.figure >= rule.threshold(self._settings)
            if key in since or (fires and rule.name not in covered):
                fired = since.get(key, now)
                active.append(
                    Alert(rule.name, rule.level, fired, finding.subject, finding.title, finding.values, finding.link)
                )
                covered.update(rule.covers)
        return active


def _order(finding: Finding) -> tuple[int, int | Decimal, str]:
    """Return a sort key that puts the worst rule first and, within each rule, the highest figure first."""
    return _ORDER[finding.rule.name], -finding.figure, finding.subject


class LagMeter:
    """Measures for how long acknowledged records have been missing from the figures.

    The age of the newest receipt in the figures does not show the lag: after a quiet hour, this receipt is an hour old,
    but nothing is missing. Each measurement therefore notes the time and the number of acknowledged records. The lag
    is the age of the oldest note with more records than the figures contain.
    """

    def __init__(self) -> None:
        # Each note is a time in microseconds and the number of records that were acknowledged by then.
        self._notes: list[tuple[int, int]] = []

    def measure(self, reader: Reader, log: Log, now_us: int) -> Lag:
        """Return the lag of the figures. It may be too low by up to the interval between two measurements."""
        records, lag = int(reader.query("SELECT records FROM state")[0]["records"]), log.lag()
        if len(self._notes) >= _LAG_NOTES:
            self._notes = self._notes[::2]
        self._notes = [note for note in self._notes if note[1] > records]
        if not lag:
            self._notes = []
        elif not self._notes or self._notes[-1][1] < records + lag:
            self._notes.append((now_us, records + lag))
        return Lag((now_us - self._notes[0][0]) // 1_000_000 if self._notes else 0, lag)
