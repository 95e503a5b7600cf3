"""The alert rules, declared as data: figure, threshold, texts. Settings, docs and the gauge are derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tillstream.config import settings
from tillstream.config.settings import Settings

Level = Literal["bad", "warn"]

LIMIT = 50
"""Maximum number of alerts in an answer; the others are counted."""

WEEKS = 4
"""Maximum number of past weeks in a baseline."""

EXPECTED_RECEIPTS = 10
"""Silence is significant if at least this many receipts were expected: by chance that happens 1 in 22,000 times."""

PACE_RECEIPTS = 100
"""Minimum number of expected receipts for the rule `below_pace`."""

REFUND_RECEIPTS = 100
"""Minimum number of receipts of a store today for the rule `refunds`."""

ANOMALY_RECEIPTS = 20
"""Minimum number of receipts in the last hour for the rules on anomalies."""

CLEAR_PERCENT = 80
"""An alert clears below this percentage of its threshold, so that it does not flap."""

INTERVAL_S = 10
"""Minimum interval between two evaluations."""

GRACE_S = 120
"""Time after the start in which silence does not count, because tills still send what they stored meanwhile."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule fires when its figure reaches the threshold, which is the value of `setting` (0: the rule is off).

    `figure`, `unit` and `help` are texts for people. `values` names the values of an alert. While an alert of this
    rule is active, the rules in `covers` do not fire, because they would say the same for every store.
    """

    name: str
    level: Level
    figure: str
    unit: str
    setting: str
    values: tuple[str, ...]
    help: str
    covers: tuple[str, ...] = ()

    @property
    def default(self) -> int:
        value: int = settings.default(self.setting)
        return value

    def threshold(self, settings: Settings) -> int:
        value: int = getattr(settings, self.setting)
        return value


RULES = (
    Rule(
        "silent_chain", "bad", "minutes since the last receipt of any shop", "minutes", "alert_silent_chain_minutes",
        ("minutes",),
        "The whole chain has sent nothing in hours in which it usually sells, although at least "
        f"{EXPECTED_RECEIPTS} receipts were expected.",
        covers=("silent_shop", "silent_till", "silent_product"),
    ),
    Rule(
        "engine_lag", "bad", "seconds that acknowledged receipts are missing from the figures", "seconds",
        "alert_lag_seconds", ("seconds", "records"),
        "The engine is behind ingest. Until it catches up, shops are judged at the time up to which the figures are "
        "complete.",
    ),
    Rule(
        "silent_shop", "bad", "minutes since the shop's last receipt, or since it should have opened", "minutes",
        "alert_silent_shop_minutes", ("minutes",),
        f"An open shop has sent nothing, although at least {EXPECTED_RECEIPTS} receipts were expected. The list of "
        "shops has its opening hours, by its own clock. Without them the shop counts as open in an hour in which it "
        "usually sells, if it also usually sells in the hours before and after, because the minute of opening and "
        "closing is unknown. The overview counts silent shops after the same number of minutes.",
    ),
    Rule(
        "silent_till", "warn", "minutes since the till's last receipt, or since its shop opened", "minutes",
        "alert_silent_till_minutes", ("minutes", "store", "till"),
        "A till has sent nothing, while its shop sold for at least half of that time. At least "
        f"{EXPECTED_RECEIPTS} receipts were expected by the till's usual hours and by the sales of its shop today, so "
        "a slow till may be silent for a long time.",
    ),
    Rule(
        "silent_product", "warn", "minutes since the chain last sold the product, or since it opened", "minutes",
        "alert_silent_product_minutes", ("minutes", "product"),
        f"No shop sells a product, while the chain sells. At least {EXPECTED_RECEIPTS} receipts with it were expected "
        "by its usual hours and by the sales of the chain since.",
    ),
    Rule(
        "below_pace", "warn", "percent by which a shop's revenue is below its usual", "percent",
        "alert_below_pace_percent", ("percent", "revenue", "usual"),
        "The revenue of a shop today up to the last full hour is compared with the mean of the same hours of the same "
        f"weekday, if at least {PACE_RECEIPTS} receipts were expected. The alert clears when the shop closes.",
    ),
    Rule(
        "refunds", "warn", "percent of a shop's receipts of today that are refunds", "percent",
        "alert_refund_percent", ("percent", "refunds", "receipts"),
        "Refunds are receipts with a negative total. The shop needs at least "
        f"{REFUND_RECEIPTS} receipts today. The alert clears when the shop closes.",
    ),
    Rule(
        "quarantine", "warn", "entries that came to quarantine within the hour", "per hour",
        "alert_quarantine_per_hour", ("entries",),
        "Receipts are refused, unreadable or in conflict with another one.",
    ),
    Rule(
        "anomalies", "warn", "percent of the receipts of the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        "The whole chain's receipts of today that arrived within the hour are counted, if there are at least "
        f"{ANOMALY_RECEIPTS}.",
        covers=("shop_anomalies",),
    ),
    Rule(
        "shop_anomalies", "warn", "percent of the shop's receipts of the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        f"The same for one shop, if it has at least {ANOMALY_RECEIPTS} such receipts. A till may have a wrong price "
        "list or clock.",
    ),
)  # fmt: skip
"""All rules, worst first."""

BY_NAME = {rule.name: rule for rule in RULES}
