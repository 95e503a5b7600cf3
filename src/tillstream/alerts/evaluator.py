"""Evaluation of the alert rules: which alerts are active, and since when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Lock

from msgspec import Struct

from tillstream.alerts.conditions import MINUTE, Finding, findings
from tillstream.alerts.context import AlertContexts, ChainSilence, Lag
from tillstream.alerts.rules import CLEAR_PERCENT, GRACE_S, INTERVAL_S, LIMIT, RULES
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader
from tillstream.log.base import Log
from tillstream.queries.serialization import LocalTime
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

_LAG_NOTES = 1_000
_ORDER = {rule.name: number for number, rule in enumerate(RULES)}


class Alert(Struct, frozen=True):
    """An alert that is active. `values` are the figures that its text shows."""

    rule: str
    level: str
    since: LocalTime
    subject: str
    title: str
    values: dict[str, str | int]
    link: str


class Alerts(Struct, frozen=True):
    """The active alerts, the worst first, and the number of further ones."""

    alerts: list[Alert]
    more: int


@dataclass(frozen=True, slots=True)
class _Active:
    """An active finding and the time, in the zone of the chain, at which it fired."""

    finding: Finding
    since: datetime

    def alert(self) -> Alert:
        finding = self.finding
        return Alert(
            finding.rule.name,
            finding.rule.level,
            self.since.isoformat(timespec="seconds"),
            finding.subject,
            finding.title,
            finding.values,
            finding.link,
        )

    def order(self) -> tuple[int, int | Decimal, str]:
        """Sort key that puts the worst alert first."""
        return _ORDER[self.finding.rule.name], -self.finding.figure, self.finding.subject


class AlertEvaluator:
    """Evaluates the rules at most every `INTERVAL_S` seconds, for all callers together. Thread-safe.

    Raises `DatabaseUnavailable` and `LogUnavailable`.
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
        self._active: dict[tuple[str, str], _Active] = {}
        self._alerts: list[Alert] = []
        self._evaluating = Lock()

    def current(self) -> Alerts:
        """The worst `LIMIT` alerts, and the number of further ones."""
        alerts = self.active()
        return Alerts(alerts[:LIMIT], max(0, len(alerts) - LIMIT))

    def active(self) -> list[Alert]:
        """All active alerts, worst first.

        `subject` is the id of a store or a product, `store/till`, or empty for the whole chain.
        """
        # During an evaluation other threads get the last result, if there is one.
        if not self._evaluating.acquire(blocking=self._evaluated_us is None):
            return self._alerts
        try:
            now_us = self._calendar.now_us()
            if self._evaluated_us is None or now_us - self._evaluated_us >= INTERVAL_S * 1_000_000:
                with self._database.snapshot() as reader:
                    self._evaluate(reader, now_us)
                self._evaluated_us = now_us
            return self._alerts
        finally:
            self._evaluating.release()

    def counts(self) -> dict[str, int]:
        """The number of active alerts of each enabled rule at the last evaluation."""
        counts = Counter(alert.rule for alert in self._alerts)
        return {rule.name: counts[rule.name] for rule in RULES if rule.threshold(self._settings)}

    def _evaluate(self, reader: Reader, now_us: int) -> None:
        lag = self._lag.measure(reader, self._log, now_us)
        moment_us = now_us - lag.seconds * 1_000_000
        context = self._contexts.read(reader, moment_us, self._stores(), lag, self._silence)
        silences = now_us - self._started_us >= GRACE_S * 1_000_000
        self._active = self._activate(list(findings(context, silences)))
        silent_chain = self._active.get(("silent_chain", ""))
        if silent_chain is not None:
            minutes = silent_chain.finding.values["minutes"]
            self._silence = ChainSilence(context.moment - minutes * MINUTE, context.moment)
        self._alerts = [active.alert() for active in sorted(self._active.values(), key=_Active.order)]

    def _activate(self, found: list[Finding]) -> dict[tuple[str, str], _Active]:
        """The findings that fire now, and those that fired before and have not cleared."""
        now = self._calendar.local_now()
        active: dict[tuple[str, str], _Active] = {}
        covered: set[str] = set()
        for finding in sorted(found, key=lambda each: _ORDER[each.rule.name]):
            rule = finding.rule
            key, threshold = (rule.name, finding.subject), rule.threshold(self._settings)
            before = self._active.get(key)
            fires = finding.significant and finding.figure >= threshold and rule.name not in covered
            if fires or (before is not None and finding.figure * 100 >= threshold * CLEAR_PERCENT):
                active[key] = _Active(finding, before.since if before else now)
                covered.update(rule.covers)
        return active


class LagMeter:
    """Measures how long acknowledged records have been missing from the figures, by regular notes.

    The time of a receipt cannot show this: the first receipt after a quiet hour is not an hour late.
    """

    def __init__(self) -> None:
        # Each note has a time and the number of records acknowledged by then.
        self._notes: list[tuple[int, int]] = []

    def measure(self, reader: Reader, log: Log, now_us: int) -> Lag:
        """The lag of the figures. It may be too short by the time between two measurements, but is never too long."""
        records, lag = int(reader.query("SELECT records FROM state")[0]["records"]), log.lag()
        if len(self._notes) >= _LAG_NOTES:
            self._notes = self._notes[::2]
        self._notes = [note for note in self._notes if note[1] > records]
        if not lag:
            self._notes = []
        elif not self._notes or self._notes[-1][1] < records + lag:
            self._notes.append((now_us, records + lag))
        return Lag((now_us - self._notes[0][0]) // 1_000_000 if self._notes else 0, lag)
