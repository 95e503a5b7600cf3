"""Conditions of the alert rules: each compares the context with the threshold of its rule.

A condition yields a finding for every store, till or product whose figure is at or near the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from urllib.parse import quote, urlencode

from tillstream.alerts.baseline import HOUR, HourlyBaseline
from tillstream.alerts.context import AlertContext, ZoneContext
from tillstream.alerts.rules import (
    ANOMALY_RECEIPTS,
    BY_NAME,
    CLEAR_PERCENT,
    EXPECTED_RECEIPTS,
    PACE_RECEIPTS,
    REFUND_RECEIPTS,
    Rule,
)
from tillstream.database.base import Row
from tillstream.queries.serialization import amount
from tillstream.receipt.amounts import minor_unit

MINUTE = timedelta(minutes=1)
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Finding:
    """The figure of a rule for one store, till or product, or for the chain.

    `significant` says whether there is enough data to fire an alert.
    """

    rule: Rule
    subject: str
    title: str
    figure: int | Decimal
    values: Row
    link: str
    significant: bool


def findings(context: AlertContext, silences: bool) -> Iterator[Finding]:
    """The findings of all enabled rules, or without `silences` of those that are not about silence."""
    for name, condition in _CONDITIONS.items():
        if BY_NAME[name].threshold(context.settings) and (silences or not name.startswith("silent")):
            yield from condition(context, BY_NAME[name])


def silent_chain(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    zone = context.chain
    baseline = zone.baseline.chain
    opened = baseline.opened(zone.local) if baseline else None
    if baseline is None or opened is None:
        return
    last = max((sales.last for sales in context.sales.values()), default=datetime.min)  # noqa: DTZ901
    start = max(zone.utc(opened), last)
    minutes = (context.moment - start) // MINUTE
    if _is_near(context, rule, minutes):
        significant = baseline.expected(zone.wall_clock(start), zone.local) >= EXPECTED_RECEIPTS
        yield Finding(rule, "", "", minutes, {"minutes": minutes}, _page("/", zone), significant)


def silent_stores(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    for store in context.active_stores():
        zone, sales = context.zone(store), context.sales.get(store)
        baseline = zone.baseline.stores.get(store)
        opened = _opened(context, store, zone)
        if opened is None or not (sales or (baseline and _is_expected(baseline, zone))):
            continue
        begin = max(opened, sales.last) if sales else opened
        minutes, start = _silent_minutes(context, begin, rule.threshold(context.settings))
        if _is_near(context, rule, minutes):
            expected = baseline.expected(zone.wall_clock(start), zone.local) if baseline else None
            significant = expected is None or expected >= EXPECTED_RECEIPTS
            yield _of_store(context, rule, store, minutes, {"minutes": minutes}, significant)


def silent_tills(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    allowed = context.settings.silent_shop_minutes
    for store, sales in context.sales.items():
        zone = context.zone(store)
        baseline, opened = zone.baseline.stores.get(store), _opened(context, store, zone)
        if baseline is None or opened is None:
            continue
        for till, till_baseline in zone.baseline.tills[store].items():
            if till not in sales.tills and not _is_expected(till_baseline, zone):
                continue
            minutes, start = _silent_minutes(context, max(opened, sales.tills.get(till, opened)), allowed)
            # A store that has been silent for about as long has its own alert.
            if _is_near(context, rule, minutes) and 2 * (context.moment - sales.last) < context.moment - start:
                expected = till_baseline.expected(zone.wall_clock(start), zone.local)
                expected *= _share_of_baseline(baseline, sales.receipts, zone)
                values = {"minutes": minutes, "store": store, "till": till}
                link = _page(f"/shops/{quote(store, '')}/tills/{quote(till, '')}", zone)
                title, significant = context.stores.title(store), expected >= EXPECTED_RECEIPTS
                yield Finding(rule, f"{store}/{till}", title, minutes, values, link, significant)


def silent_products(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    zone, allowed = context.chain, context.settings.silent_shop_minutes
    chain = zone.baseline.chain
    opened = chain.opened(zone.local) if chain else None
    if chain is None or opened is None:
        return
    begin = zone.utc(opened)
    for product, baseline in zone.baseline.products.items():
        last = context.products.get(product)
        if last is None and not _is_expected(baseline, zone):
            continue
        minutes, start = _silent_minutes(context, max(begin, last or begin), allowed)
        if not _is_near(context, rule, minutes):
            continue
        since = zone.wall_clock(start)
        expected = baseline.expected(since, zone.local)
        if expected >= EXPECTED_RECEIPTS:
            usual = chain.expected(since, zone.local)
            expected *= min(1.0, context.receipts_since(since) / usual) if usual else 0
        values = {"minutes": minutes, "product": product}
        link = _page(f"/products/{quote(product, '')}", zone)
        yield Finding(rule, product, baseline.title, minutes, values, link, expected >= EXPECTED_RECEIPTS)


def below_pace(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    unit = minor_unit(context.settings.currency)
    for store in context.sales:
        zone = context.zone(store)
        baseline = zone.baseline.stores.get(store)
        if baseline is None or not _sells_later(context, store, zone):
            continue
        total, receipts = baseline.first_hours(zone.hours)
        if total <= 0:
            continue
        revenue = zone.revenue.get(store, Decimal(0))
        percent = _percent(total - revenue * baseline.weeks, total)
        if _is_near(context, rule, percent):
            usual = amount(total / baseline.weeks, unit)
            values = {"percent": str(percent), "revenue": amount(revenue, unit), "usual": usual}
            yield _of_store(context, rule, store, percent, values, receipts >= PACE_RECEIPTS * baseline.weeks)


def refunds(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    unit = minor_unit(context.settings.currency)
    for store, sales in context.sales.items():
        percent = _percent(sales.refunds, sales.receipts)
        zone = context.zone(store)
        if _is_near(context, rule, percent) and _sells_later(context, store, zone):
            values = {"percent": str(percent), "refunds": sales.refunds, "receipts": sales.receipts}
            link = _page("/receipts", zone, store=store, max=format(-unit, "f"))
            yield _of_store(context, rule, store, percent, values, sales.receipts >= REFUND_RECEIPTS, link)


def quarantine(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    sql = "SELECT count(*) AS entries FROM quarantine WHERE received_at > ?"
    entries = int(context.reader.query(sql, [context.moment - HOUR])[0]["entries"])
    if _is_near(context, rule, entries):
        yield Finding(rule, "", "", entries, {"entries": entries}, "/quarantine", True)


def engine_lag(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    lag = context.lag
    if _is_near(context, rule, lag.seconds):
        values = {"seconds": lag.seconds, "records": lag.records}
        yield Finding(rule, "", "", lag.seconds, values, "/health/ready", True)


def anomalies(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    sales = context.sales.values()
    found, receipts = sum(each.anomalies for each in sales), sum(each.recent for each in sales)
    percent = _percent(found, receipts)
    if _is_near(context, rule, percent):
        values = {"percent": str(percent), "anomalies": found, "receipts": receipts}
        link = _page("/receipts", context.chain, anomaly="any")
        yield Finding(rule, "", "", percent, values, link, receipts >= ANOMALY_RECEIPTS)


def store_anomalies(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    for store, sales in context.sales.items():
        percent = _percent(sales.anomalies, sales.recent)
        if _is_near(context, rule, percent):
            values = {"percent": str(percent), "anomalies": sales.anomalies, "receipts": sales.recent}
            link = _page("/receipts", context.zone(store), store=store, anomaly="any")
            yield _of_store(context, rule, store, percent, values, sales.recent >= ANOMALY_RECEIPTS, link)


_CONDITIONS: Mapping[str, Callable[[AlertContext, Rule], Iterator[Finding]]] = {
    "silent_chain": silent_chain,
    "engine_lag": engine_lag,
    "silent_shop": silent_stores,
    "silent_till": silent_tills,
    "silent_product": silent_products,
    "below_pace": below_pace,
    "refunds": refunds,
    "quarantine": quarantine,
    "anomalies": anomalies,
    "shop_anomalies": store_anomalies,
}


def _of_store(
    context: AlertContext,
    rule: Rule,
    store: str,
    figure: int | Decimal,
    values: Row,
    significant: bool,
    link: str = "",
) -> Finding:
    page = link or _page(f"/shops/{quote(store, '')}", context.zone(store))
    return Finding(rule, store, context.stores.title(store), figure, values, page, significant)


def _is_near(context: AlertContext, rule: Rule, figure: int | Decimal) -> bool:
    """Whether the figure is high enough for an active alert to stay active."""
    return figure * 100 >= rule.threshold(context.settings) * CLEAR_PERCENT


def _silent_minutes(context: AlertContext, start: datetime, allowed: int) -> tuple[int, datetime]:
    """Full minutes since `start`, and the time from which they count.

    They count from the end of the chain's last silence if it began within the `allowed` minutes after `start`.
    """
    silence = context.silence
    if silence and start < silence.until and silence.since - start < allowed * MINUTE:
        start = silence.until
    return max(0, (context.moment - start) // MINUTE), start


def _is_expected(baseline: HourlyBaseline, zone: ZoneContext) -> bool:
    """Whether sales are expected today, because there were some on the last of the past weekdays."""
    chain = zone.baseline.chain
    return chain is not None and baseline.last == chain.last


def _opened(context: AlertContext, store_id: str, zone: ZoneContext) -> datetime | None:
    """The time (UTC) at which the store opened, by its opening hours or else its baseline; None if it is closed."""
    store = context.stores.get(store_id)
    if store.hours:
        opening = store.opening_at(zone.local)
        opened = datetime.combine(zone.local.date(), opening.opens) if opening else None
    else:
        baseline = zone.baseline.stores.get(store_id)
        opened = baseline.opened(zone.local) if baseline else None
    return None if opened is None else zone.utc(opened)


def _sells_later(context: AlertContext, store_id: str, zone: ZoneContext) -> bool:
    """Whether the store may be open now or later today."""
    store, baseline = context.stores.get(store_id), zone.baseline.stores.get(store_id)
    if store.hours:
        weekday, clock = zone.local.weekday(), zone.local.time()
        return any(each.weekday == weekday and clock < each.closes for each in store.hours)
    return baseline is None or baseline.sells_later(zone.local)


def _share_of_baseline(baseline: HourlyBaseline, receipts: int, zone: ZoneContext) -> float:
    """The receipts of a store today as a share of its baseline up to now, at most 1."""
    begin = zone.local.replace(minute=0, second=0, microsecond=0) - zone.hours * HOUR
    usual = baseline.expected(begin, zone.local)
    return min(1.0, receipts / usual) if usual else 1.0


def _percent(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """Percent, rounded down to a tenth, so that a figure below its threshold never equals it."""
    if not whole:
        return Decimal(0)
    return (Decimal(part) * 100 / Decimal(whole)).quantize(_TENTH, ROUND_FLOOR)


def _page(path: str, zone: ZoneContext, **filters: str) -> str:
    return f"{path}?{urlencode({'day': zone.day.isoformat(), **filters})}"
