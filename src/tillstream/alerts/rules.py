"""The rules of the alerts, as data: what each compares with its threshold, which setting that is, and what it says.

`tillstream.alerts.conditions` measures the figures; the settings, the docs and the gauge follow from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tillstream.config import settings

Level = Literal["bad", "warn"]

LIMIT = 50
"""Most alerts that are shown; the others are counted."""

WEEKS = 4
"""How many past weeks at most say what is usual on a weekday."""

EXPECTED_RECEIPTS = 10
"""So many would have come by now before silence means something: chance alone makes that 1 in 22,000."""

PACE_RECEIPTS = 100
"""So many are expected by now before a shop can be below its pace."""

REFUND_RECEIPTS = 100
"""So many a shop has today before its refunds are a rate."""

ANOMALY_RECEIPTS = 20
"""So many came within the hour before its anomalies are a rate."""

CLEAR_PERCENT = 80
"""An alert stands until its figure is below so much of its threshold, so that it does not flap."""

INTERVAL_S = 10
"""The rules are evaluated at most so often, for all viewers together."""

GRACE_S = 120
"""So long after the start silence means nothing yet: tills send what they kept while nobody listened."""


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert fires where `figure` reaches the threshold, which is the setting of that name (0: never).

    `values` names what an alert of it tells beside its shop or product. While it stands, the rules that
    it `covers` fire no more: they would say the same once for every shop.
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


RULES = (
    Rule(
        "silent_chain", "bad", "minutes since the last receipt of any shop", "minutes", "alert_silent_chain_minutes",
        ("minutes",),
        "Nothing has come from the whole chain, in hours in which it usually sells, and at least "
        f"{EXPECTED_RECEIPTS} receipts would have.",
        covers=("silent_shop", "silent_till", "silent_product"),
    ),
    Rule(
        "engine_lag", "bad", "seconds by which the figures are behind what is acknowledged", "seconds",
        "alert_lag_seconds", ("seconds", "records"),
        "What ingest acknowledged so long ago is not in the figures yet. Meanwhile shops are judged by the "
        "time up to which the figures know of them.",
    ),
    Rule(
        "silent_shop", "bad", "minutes since the shop's last receipt, or since it should have opened", "minutes",
        "alert_silent_shop_minutes", ("minutes",),
        "A shop is silent while it is open, and would usually have sold at least "
        f"{EXPECTED_RECEIPTS} receipts since. Its opening hours are those of the list of shops, by its own clock. "
        "Without them it is open in hours in which it usually sells and usually sells in the hours before and "
        "after, since nobody knows at which minute it opens and closes.",
    ),
    Rule(
        "silent_till", "warn", "minutes since the till's last receipt, or since its shop opened", "minutes",
        "alert_silent_till_minutes", ("minutes", "store", "till"),
        "A till is silent while its shop sold for at least half of that time. By its own usual hours, and by how much of its usual its shop "
        f"sells today, it would have printed at least {EXPECTED_RECEIPTS} receipts since: a slow till may be "
        "silent for long.",
    ),
    Rule(
        "silent_product", "warn", "minutes since the chain last sold the product, or since it opened", "minutes",
        "alert_silent_product_minutes", ("minutes", "product"),
        "No shop sells a product any more, while the chain sells. By its usual hours, and by how much of its "
        f"usual the chain sold since, it would stand on at least {EXPECTED_RECEIPTS} lines.",
    ),
    Rule(
        "below_pace", "warn", "percent of revenue that a shop is below its usual", "percent",
        "alert_below_pace_percent", ("percent", "revenue", "usual"),
        "The shop's revenue of today up to the last full hour, against the mean of the same hours of the same "
        f"weekday, where at least {PACE_RECEIPTS} receipts were expected by then. It is watched until the shop closes.",
    ),
    Rule(
        "refunds", "warn", "percent of a shop's receipts of today that are refunds", "percent",
        "alert_refund_percent", ("percent", "refunds", "receipts"),
        "Receipts with a negative total, in a shop with at least "
        f"{REFUND_RECEIPTS} receipts today. It is watched until the shop closes.",
    ),
    Rule(
        "quarantine", "warn", "entries that came to quarantine within the hour", "per hour",
        "alert_quarantine_per_hour", ("entries",),
        "Receipts are refused, unreadable or in conflict with another one.",
    ),
    Rule(
        "anomalies", "warn", "percent of the receipts of the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        f"Of the whole chain's receipts of today that came within the hour, where there are at least {ANOMALY_RECEIPTS}.",
        covers=("shop_anomalies",),
    ),
    Rule(
        "shop_anomalies", "warn", "percent of the shop's receipts of the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        f"The same of one shop, where there are at least {ANOMALY_RECEIPTS}: a till with a wrong price list or clock.",
    ),
)  # fmt: skip
"""From the worst on."""

BY_NAME = {rule.name: rule for rule in RULES}
