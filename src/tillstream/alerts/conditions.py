"""The conditions of the alerts: what each rule of `tillstream.alerts` finds in a scene.

A condition yields the figure of every shop, till or product that comes near its threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from urllib.parse import quote, urlencode

from tillstream.alerts.baseline import Habit
from tillstream.alerts.context import HOUR, AlertContext, Place
from tillstream.alerts.rules import (
    ANOMALY_RECEIPTS,
    BY_NAME,
    CLEAR_PERCENT,
    EXPECTED_RECEIPTS,
    PACE_RECEIPTS,
    REFUND_RECEIPTS,
    Rule,
)
from tillstream.config.settings import Settings
from tillstream.database.base import Row
from tillstream.queries.serialization import amount
from tillstream.receipt.amounts import minor_unit

MINUTE = timedelta(minutes=1)
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Quiet:
    """The chain's last silence as a whole, in UTC: it is not held against its shops."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Behind:
    """How far the figures are behind what ingest acknowledged."""

    seconds: int
    records: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's figure of one shop, till, product or the chain; `enough` says whether it may fire an alert by it."""

    rule: Rule
    subject: str
    title: str
    figure: int | Decimal
    values: Row
    link: str
    enough: bool


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: a scene, how far it is behind, and what silence is forgiven."""

    scene: AlertContext
    behind: Behind
    quiet: Quiet | None = None

    def minutes(self, start: datetime, allowed: int) -> tuple[int, datetime]:
        """Whole minutes since then, and from when they count, where the chain's own silence came in between."""
        quiet = self.quiet
        if quiet and start < quiet.until and quiet.since - start < allowed * MINUTE:
            start = quiet.until
        return max(0, (self.scene.moment - start) // MINUTE), start


def findings(case: Case, silences: bool) -> Iterator[Finding]:
    """What all rules that are on find; those of silence only where `silences` can be told."""
    for name, condition in _CONDITIONS.items():
        if threshold(case.scene.settings, BY_NAME[name]) and (silences or not name.startswith("silent")):
            yield from condition(case, BY_NAME[name])


def threshold(settings: Settings, rule: Rule) -> int:
    """What the rule's figure is compared with; 0: it is off."""
    value: int = getattr(settings, rule.setting)
    return value


def silent_chain(case: Case, rule: Rule) -> Iterator[Finding]:
    place = case.scene.chain
    habit = place.usual.chain
    opened = habit.opened(place.local) if habit else None
    if habit is None or opened is None:
        return
    last = max((sold.last for sold in case.scene.sold.values()), default=datetime.min)  # noqa: DTZ901
    start = max(place.utc(opened), last)
    minutes = (case.scene.moment - start) // MINUTE
    if _near(case, rule, minutes):
        enough = habit.expected(place.at(start), place.local) >= EXPECTED_RECEIPTS
        yield Finding(rule, "", "", minutes, {"minutes": minutes}, _page("/", place), enough)


def silent_shops(case: Case, rule: Rule) -> Iterator[Finding]:
    scene = case.scene
    for store in scene.known():
        place = scene.place(store)
        minutes, start = _shop_silence(case, rule, store, place)
        if not _near(case, rule, minutes):
            continue
        habit = place.usual.shops.get(store)
        enough = habit is None or habit.expected(place.at(start), place.local) >= EXPECTED_RECEIPTS
        yield _of_shop(case, rule, store, minutes, {"minutes": minutes}, enough)


def silent_tills(case: Case, rule: Rule) -> Iterator[Finding]:
    scene, patience = case.scene, _patience(case)
    for store, sold in scene.sold.items():
        place = scene.place(store)
        shop, opened = place.usual.shops.get(store), _opened(case, store, place)
        if shop is None or opened is None:
            continue
        for till, habit in place.usual.tills[store].items():
            if not _awaited(habit, place, till in sold.tills):
                continue
            minutes, start = case.minutes(max(opened, sold.tills.get(till, opened)), patience)
            # A shop that is silent itself, for about as long, has an alert of its own.
            if _near(case, rule, minutes) and 2 * (scene.moment - sold.last) < scene.moment - start:
                expected = habit.expected(place.at(start), place.local) * _share(shop, sold.receipts, place)
                values = {"minutes": minutes, "store": store, "till": till}
                link = _page(f"/shops/{quote(store, '')}/tills/{quote(till, '')}", place)
                title, enough = scene.shops.title(store), expected >= EXPECTED_RECEIPTS
                yield Finding(rule, f"{store}/{till}", title, minutes, values, link, enough)


def silent_products(case: Case, rule: Rule) -> Iterator[Finding]:
    scene, place = case.scene, case.scene.chain
    chain = place.usual.chain
    opened = chain.opened(place.local) if chain else None
    if chain is None or opened is None:
        return
    for product, habit in place.usual.products.items():
        last = scene.products.get(product)
        if not _awaited(habit, place, last is not None):
            continue
        begun = place.utc(opened)
        minutes, start = case.minutes(max(begun, last or begun), _patience(case))
        if not _near(case, rule, minutes):
            continue
        since = place.at(start)
        expected = habit.expected(since, place.local)
        if expected >= EXPECTED_RECEIPTS:
            usual = chain.expected(since, place.local)
            expected *= min(1.0, scene.receipts_since(since) / usual) if usual else 0
        values = {"minutes": minutes, "product": product}
        link = _page(f"/products/{quote(product, '')}", place)
        yield Finding(rule, product, habit.title, minutes, values, link, expected >= EXPECTED_RECEIPTS)


def below_pace(case: Case, rule: Rule) -> Iterator[Finding]:
    unit = minor_unit(case.scene.settings.currency)
    for store in case.scene.sold:
        place = case.scene.place(store)
        habit = place.usual.shops.get(store)
        if habit is None or not _sells_later(case, store, place):
            continue
        total, receipts = habit.until(place.hours)
        if total <= 0:
            continue
        revenue = place.revenue.get(store, Decimal(0))
        percent = _percent(total - revenue * habit.weeks, total)
        if _near(case, rule, percent):
            usual = amount(total / habit.weeks, unit)
            values = {"percent": str(percent), "revenue": amount(revenue, unit), "usual": usual}
            yield _of_shop(case, rule, store, percent, values, receipts >= PACE_RECEIPTS * habit.weeks)


def refunds(case: Case, rule: Rule) -> Iterator[Finding]:
    least = minor_unit(case.scene.settings.currency)
    for store, sold in case.scene.sold.items():
        percent = _percent(sold.refunds, sold.receipts)
        place = case.scene.place(store)
        if not _near(case, rule, percent) or not _sells_later(case, store, place):
            continue
        values = {"percent": str(percent), "refunds": sold.refunds, "receipts": sold.receipts}
        link = _page("/receipts", place, store=store, max=format(-least, "f"))
        yield _of_shop(case, rule, store, percent, values, sold.receipts >= REFUND_RECEIPTS, link)


def quarantine(case: Case, rule: Rule) -> Iterator[Finding]:
    scene = case.scene
    sql = "SELECT count(*) AS entries FROM quarantine WHERE received_at > ?"
    entries = int(scene.reader.query(sql, [scene.moment - HOUR])[0]["entries"])
    if _near(case, rule, entries):
        yield Finding(rule, "", "", entries, {"entries": entries}, "/quarantine", True)


def engine_lag(case: Case, rule: Rule) -> Iterator[Finding]:
    behind = case.behind
    if _near(case, rule, behind.seconds):
        values = {"seconds": behind.seconds, "records": behind.records}
        yield Finding(rule, "", "", behind.seconds, values, "/health/ready", True)


def anomalies(case: Case, rule: Rule) -> Iterator[Finding]:
    sold = case.scene.sold.values()
    found, receipts = sum(each.anomalies for each in sold), sum(each.recent for each in sold)
    percent = _percent(found, receipts)
    if _near(case, rule, percent):
        values = {"percent": str(percent), "anomalies": found, "receipts": receipts}
        link = _page("/receipts", case.scene.chain, anomaly="any")
        yield Finding(rule, "", "", percent, values, link, receipts >= ANOMALY_RECEIPTS)


def shop_anomalies(case: Case, rule: Rule) -> Iterator[Finding]:
    for store, sold in case.scene.sold.items():
        percent = _percent(sold.anomalies, sold.recent)
        if _near(case, rule, percent):
            values = {"percent": str(percent), "anomalies": sold.anomalies, "receipts": sold.recent}
            link = _page("/receipts", case.scene.place(store), store=store, anomaly="any")
            yield _of_shop(case, rule, store, percent, values, sold.recent >= ANOMALY_RECEIPTS, link)


_CONDITIONS: Mapping[str, Callable[[Case, Rule], Iterator[Finding]]] = {
    "silent_chain": silent_chain,
    "engine_lag": engine_lag,
    "silent_shop": silent_shops,
    "silent_till": silent_tills,
    "silent_product": silent_products,
    "below_pace": below_pace,
    "refunds": refunds,
    "quarantine": quarantine,
    "anomalies": anomalies,
    "shop_anomalies": shop_anomalies,
}


def _of_shop(
    case: Case, rule: Rule, store: str, figure: int | Decimal, values: Row, enough: bool, link: str = ""
) -> Finding:
    page = link or _page(f"/shops/{quote(store, '')}", case.scene.place(store))
    return Finding(rule, store, case.scene.shops.title(store), figure, values, page, enough)


def _near(case: Case, rule: Rule, figure: int | Decimal) -> bool:
    """Whether the figure is high enough for an alert that stands to go on."""
    return figure * 100 >= threshold(case.scene.settings, rule) * CLEAR_PERCENT


def _patience(case: Case) -> int:
    """Minutes for which a shop, and what is in it, may be silent."""
    rule = BY_NAME["silent_shop"]
    return threshold(case.scene.settings, rule) or rule.default


def _shop_silence(case: Case, rule: Rule, store: str, place: Place) -> tuple[int, datetime]:
    """Minutes for which the shop has been silent while it should sell, and from when they count."""
    sold, habit = case.scene.sold.get(store), place.usual.shops.get(store)
    opened = _opened(case, store, place)
    if opened is None or not (sold or (habit and _awaited(habit, place, False))):
        return 0, case.scene.moment
    return case.minutes(max(opened, sold.last) if sold else opened, threshold(case.scene.settings, rule))


def _awaited(habit: Habit, place: Place, sold_today: bool) -> bool:
    """Whether it should sell today: it did already, or it did on the last of the past weekdays."""
    chain = place.usual.chain
    return sold_today or (chain is not None and habit.last == chain.last)


def _opened(case: Case, store: str, place: Place) -> datetime | None:
    """When the hours began (UTC) in which the shop is open now; None: it is closed."""
    shop = case.scene.shops.get(store)
    if not shop.hours:
        habit = place.usual.shops.get(store)
        opened = habit.opened(place.local) if habit else None
        return None if opened is None else place.utc(opened)
    for each in shop.hours:
        if each.weekday == place.local.weekday() and each.opens <= place.local.time() < each.closes:
            return place.utc(datetime.combine(place.local.date(), each.opens))
    return None


def _sells_later(case: Case, store: str, place: Place) -> bool:
    """Whether the shop is open now or later today, as far as one knows."""
    shop, habit = case.scene.shops.get(store), place.usual.shops.get(store)
    if shop.hours:
        weekday, clock = place.local.weekday(), place.local.time()
        return any(each.weekday == weekday and clock < each.closes for each in shop.hours)
    return habit is None or habit.sells_later(place.local)


def _share(habit: Habit, receipts: int, place: Place) -> float:
    """How much of its usual a shop sold today so far, at most all of it."""
    begun = place.local.replace(minute=0, second=0, microsecond=0) - place.hours * HOUR
    usual = habit.expected(begun, place.local)
    return min(1.0, receipts / usual) if usual else 1.0


def _percent(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """Rounded down to a tenth, so that no figure looks as if it had reached its threshold."""
    if not whole:
        return Decimal(0)
    return (Decimal(part) * 100 / Decimal(whole)).quantize(_TENTH, ROUND_FLOOR)


def _page(path: str, place: Place, **filters: str) -> str:
    return f"{path}?{urlencode({'day': place.day.isoformat(), **filters})}"
