"""The alert rules, declared as data. The documentation of alerts is generated from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tillstream.config import settings
from tillstream.config.settings import Settings

Level = Literal["bad", "warn"]

LIMIT = 50
"""The maximum number of alerts in a response. Further alerts are only counted."""

WEEKS = 4
"""The number of past weeks that a baseline covers."""

EXPECTED_RECEIPTS = 10
"""A rule about silence fires only if at least this number of receipts was expected during the silence.

If ten receipts are expected, the probability that none arrives by chance is 1 in 22,000. A store without past sales
is an exception, because its usual sales are unknown.
"""

PACE_RECEIPTS = 100
"""The rule `below_pace` fires only if at least this number of receipts was expected up to the last full hour."""

REFUND_RECEIPTS = 100
"""The rule `refunds` fires only if the store has at least this number of receipts today."""

ANOMALY_RECEIPTS = 20
"""The rules about anomalies fire only if at least this number of receipts arrived in the last hour."""

CLEAR_PERCENT = 80
"""An alert clears when its figure falls below this percentage of the threshold. This prevents flapping."""

INTERVAL_S = 10
"""The minimum interval between two evaluations."""

GRACE_S = 120
"""The time after a start during which silence fires no alerts.

Tills need this time to send the receipts that they stored while tillstream was down.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule fires an alert when its figure reaches the threshold.

    The threshold is the value of `setting`, and 0 disables the rule. `figure`, `unit` and `help` are texts for people.
    `values` contains the names of the values in its alerts. While an alert of this rule is active, the rules in
    `covers` do not fire, because they would repeat it for each store, till or product.
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
        """The default threshold."""
        return int(settings.default(self.setting))

    def threshold(self, settings: Settings) -> int:
        """Return the threshold in the settings."""
        return int(getattr(settings, self.setting))


RULES = (
    Rule(
        "silent_chain", "bad", "minutes since the last receipt of any shop", "minutes", "alert_silent_chain_minutes",
        ("minutes",),
        "No shop has sent a receipt in the usual hours of the chain, although at least "
        f"{EXPECTED_RECEIPTS} receipts were expected.",
        covers=("silent_shop", "silent_till", "silent_product"),
    ),
    Rule(
        "engine_lag", "bad", "seconds for which acknowledged receipts have been missing from the figures", "seconds",
        "alert_lag_seconds", ("seconds", "records"),
        "The engine is behind ingest. Until it catches up, the other rules use the time up to which the figures are "
        "complete.",
    ),
    Rule(
        "silent_shop", "bad", "minutes since the last receipt of the shop, or since it should have opened", "minutes",
        "alert_silent_shop_minutes", ("minutes",),
        f"An open shop has sent no receipt, although at least {EXPECTED_RECEIPTS} receipts were expected. The list of "
        "shops has the opening hours, in the shop's local time. A shop without opening hours counts as open in its "
        "usual hours, except in the first and the last one, because the minute of opening and closing is unknown. The "
        "overview counts silent shops after the same number of minutes.",
    ),
    Rule(
        "silent_till", "warn", "minutes since the last receipt of the till, or since its shop opened", "minutes",
        "alert_silent_till_minutes", ("minutes", "store", "till"),
        "A till has sent no receipt, while its shop sold for at least half of that time. At least "
        f"{EXPECTED_RECEIPTS} receipts were expected from the till's usual hours and from the sales of its shop today. "
        "A till with few sales may therefore be silent for a long time.",
    ),
    Rule(
        "silent_product", "warn", "minutes since the chain last sold the product, or since the chain opened", "minutes",
        "alert_silent_product_minutes", ("minutes", "product"),
        f"The chain sells, but not this product. At least {EXPECTED_RECEIPTS} receipts with the product were expected "
        "from its usual hours and from the sales of the chain during that time.",
    ),
    Rule(
        "below_pace", "warn", "percent by which the revenue of a shop is below its usual revenue", "percent",
        "alert_below_pace_percent", ("percent", "revenue", "usual"),
        "The revenue of the shop today, up to the last full hour, is compared with its mean in the same hours of the "
        f"same weekday. At least {PACE_RECEIPTS} receipts must be expected. The alert clears when the shop closes.",
    ),
    Rule(
        "refunds", "warn", "percent of the receipts of a shop today that are refunds", "percent",
        "alert_refund_percent", ("percent", "refunds", "receipts"),
        "Refunds are receipts with a negative total. The shop must have at least "
        f"{REFUND_RECEIPTS} receipts today. The alert clears when the shop closes.",
    ),
    Rule(
        "quarantine", "warn", "entries that were added to quarantine within the hour", "per hour",
        "alert_quarantine_per_hour", ("entries",),
        "Many receipts are refused, unreadable or in conflict with another receipt.",
    ),
    Rule(
        "anomalies", "warn", "percent of the receipts of the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        "The receipts of today that arrived within the hour are counted. The chain must have at least "
        f"{ANOMALY_RECEIPTS} of them.",
        covers=("shop_anomalies",),
    ),
    Rule(
        "shop_anomalies", "warn", "percent of the receipts of a shop in the last hour that have an anomaly", "percent",
        "alert_anomaly_percent", ("percent", "anomalies", "receipts"),
        "The receipts of today that arrived within the hour are counted. The shop must have at least "
        f"{ANOMALY_RECEIPTS} of them. A till may have a wrong price list or clock.",
    ),
)  # fmt: skip
"""All rules, the worst first."""

BY_NAME = {rule.name: rule for rule in RULES}
