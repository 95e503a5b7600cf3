"""The alerts that stand: the rules of `tillstream.alerts`, evaluated over the database now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Lock

from tillstream.alerts.conditions import MINUTE, Behind, Case, Finding, Quiet, findings, threshold
from tillstream.alerts.context import AlertContexts
from tillstream.alerts.rules import BY_NAME, CLEAR_PERCENT, GRACE_S, INTERVAL_S, LIMIT, RULES
from tillstream.config.settings import Settings
from tillstream.database.base import Database, Reader, Row
from tillstream.log.base import Log
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import StoreList

_NOTES = 1_000
_ORDER = {rule.name: number for number, rule in enumerate(RULES)}


@dataclass(frozen=True, slots=True)
class _Alert:
    """A finding that stands, and since when, in the chain's zone."""

    finding: Finding
    since: datetime

    def row(self) -> Row:
        found = self.finding
        return {
            "rule": found.rule.name,
            "level": found.rule.level,
            "since": self.since.isoformat(timespec="seconds"),
            "subject": found.subject,
            "title": found.title,
            "values": found.values,
            "link": found.link,
        }


class AlertEvaluator:
    """The alerts as of the last evaluation, which is made at most every `INTERVAL_S`, whoever asks. Safe from any
    thread. Raises `DatabaseUnavailable` and `LogUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        log: Log,
        settings: Settings,
        calendar: Calendar,
        shops: Callable[[], StoreList] = StoreList,
    ) -> None:
        self._database = database
        self._log = log
        self._settings = settings
        self._calendar = calendar
        self._shops = shops
        self._scenes = AlertContexts(settings)
        self._lag = LagClock()
        self._started_us = calendar.now_us()
        self._evaluated_us: int | None = None
        self._quiet: Quiet | None = None
        self._standing: dict[tuple[str, str], _Alert] = {}
        self._rows: list[Row] = []
        self._evaluating = Lock()

    def current(self) -> Row:
        """`alerts`, the worst first and at most `LIMIT`, and how many `more` stand."""
        rows = self.standing()
        return {"alerts": rows[:LIMIT], "more": max(0, len(rows) - LIMIT)}

    def standing(self) -> list[Row]:
        """All alerts, the worst first: `rule, level, since, subject, title, values, link`.

        `subject` is a shop's or product's id, `shop/till`, or empty for the whole chain.
        """
        # Who comes while another evaluates takes the last result, if there is one.
        if not self._evaluating.acquire(blocking=self._evaluated_us is None):
            return self._rows
        try:
            now_us = self._calendar.now_us()
            if self._evaluated_us is None or now_us - self._evaluated_us >= INTERVAL_S * 1_000_000:
                with self._database.snapshot() as reader:
                    self._evaluate(reader, now_us)
                self._evaluated_us = now_us
            return self._rows
        finally:
            self._evaluating.release()

    def counts(self) -> dict[str, int]:
        """How many alerts of each rule that is on stood at the last evaluation."""
        found = Counter(row["rule"] for row in self._rows)
        return {rule.name: found[rule.name] for rule in RULES if threshold(self._settings, rule)}

    def _evaluate(self, reader: Reader, now_us: int) -> None:
        behind = self._lag.behind(reader, self._log, now_us)
        scene = self._scenes.read(reader, now_us - behind.seconds * 1_000_000, self._shops())
        silences = now_us - self._started_us >= GRACE_S * 1_000_000
        found = list(findings(Case(scene, behind, self._quiet), silences))
        self._standing = self._stand(found)
        silent = self._standing.get(("silent_chain", ""))
        if silent is not None:
            minutes = silent.finding.values["minutes"]
            self._quiet = Quiet(scene.moment - minutes * MINUTE, scene.moment)
        self._rows = [alert.row() for alert in sorted(self._standing.values(), key=self._worst_first)]

    def _stand(self, found: list[Finding]) -> dict[tuple[str, str], _Alert]:
        """Those that fire now, and those that fired before and are not below their clearing."""
        now = self._calendar.local_now()
        standing: dict[tuple[str, str], _Alert] = {}
        covered: set[str] = set()
        for finding in sorted(found, key=lambda each: _ORDER[each.rule.name]):
            key = (finding.rule.name, finding.subject)
            least = threshold(self._settings, finding.rule)
            before = self._standing.get(key)
            fires = finding.enough and finding.figure >= least and finding.rule.name not in covered
            if fires or (before is not None and finding.figure * 100 >= least * CLEAR_PERCENT):
                standing[key] = _Alert(finding, before.since if before else now)
                covered.update(BY_NAME[finding.rule.name].covers)
        return standing

    def _worst_first(self, alert: _Alert) -> tuple[int, int | Decimal, str]:
        found = alert.finding
        return _ORDER[found.rule.name], -found.figure, found.subject


class LagClock:
    """Tells since when something acknowledged has not been in the figures, by looking now and then.

    Receipts' own times don't tell it: one that comes after a quiet hour is not an hour late.
    """

    def __init__(self) -> None:
        self._notes: list[tuple[int, int]] = []

    def behind(self, reader: Reader, log: Log, now_us: int) -> Behind:
        """How far this reader's figures are behind; exact to the time between two looks, and never too much."""
        records, lag = int(reader.query("SELECT records FROM state")[0]["records"]), log.lag()
        if len(self._notes) >= _NOTES:
            self._notes = self._notes[::2]
        self._notes = [note for note in self._notes if note[1] > records]
        if not lag:
            self._notes = []
        elif not self._notes or self._notes[-1][1] < records + lag:
            self._notes.append((now_us, records + lag))
        return Behind((now_us - self._notes[0][0]) // 1_000_000 if self._notes else 0, lag)
