"""The conditions of the alert rules. A condition is a function with the name of its rule.

It computes the figure of its rule from the context, and yields a finding for each store, till or product, or one
finding for the whole chain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from urllib.parse import quote, urlencode

from tillstream.alerts import rules
from tillstream.alerts.baseline import HOUR, HourlyBaseline
from tillstream.alerts.context import AlertContext, ZoneContext
from tillstream.alerts.rules import Rule
from tillstream.queries.serialization import amount
from tillstream.receipt.amounts import minor_unit

MINUTE = timedelta(minutes=1)

Values = dict[str, str | int]
"""The figures in the text of an alert, by name."""

_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Finding:
    """The figure of a rule for one store, till or product, or for the chain.

    `significant` is false if there is not enough data to fire an alert. `subject` is the id of a store or a product,
    or `store/till`. For the chain, it is empty.
    """

    rule: Rule
    figure: int | Decimal
    values: Values
    link: str
    significant: bool = True
    subject: str = ""
    title: str = ""


def findings(context: AlertContext, silences: bool) -> Iterator[Finding]:
    """Yield the findings of all enabled rules, except findings whose figure is too low to keep an alert active.

    The rules about silence are skipped if `silences` is false.
    """
    for name, condition in _CONDITIONS.items():
        rule = rules.BY_NAME[name]
        if rule.threshold(context.settings) and (silences or not name.startswith("silent")):
            yield from (each for each in condition(context, rule) if _is_near(context, rule, each.figure))


def silent_chain(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    zone = context.chain
    baseline = zone.baseline.chain
    opened = zone.opened(baseline)
    if baseline is None or opened is None:
        return
    start = max([opened, *(sales.last for sales in context.sales.values())])
    minutes = (context.moment - start) // MINUTE
    significant = zone.expected(baseline, start) >= rules.EXPECTED_RECEIPTS
    yield Finding(rule, minutes, {"minutes": minutes}, _page("/", zone), significant)


def silent_shop(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    for store in context.active_stores():
        zone, sales = context.zone(store), context.sales.get(store)
        baseline = zone.baseline.stores.get(store)
        opened = _opened(context, store, zone)
        if opened is None or not (sales or (baseline and _is_expected(baseline, zone))):
            continue
        last = max(opened, sales.last) if sales else opened
        minutes, start = _silent_minutes(context, last, rule.threshold(context.settings))
        significant = baseline is None or zone.expected(baseline, start) >= rules.EXPECTED_RECEIPTS
        yield _of_store(context, rule, store, minutes, {"minutes": minutes}, significant)


def silent_till(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    allowed = context.settings.silent_shop_minutes
    for store, sales in context.sales.items():
        zone = context.zone(store)
        baseline, opened = zone.baseline.stores.get(store), _opened(context, store, zone)
        if baseline is None or opened is None:
            continue
        share = _share_of_baseline(baseline, sales.receipts, zone)
        for till, till_baseline in baseline.tills.items():
            if till not in sales.tills and not _is_expected(till_baseline, zone):
                continue
            minutes, start = _silent_minutes(context, max(opened, sales.tills.get(till, opened)), allowed)
            # If the whole store was silent for at least half of the till's silence, the till is probably not the cause.
            if 2 * (context.moment - sales.last) < context.moment - start:
                significant = zone.expected(till_baseline, start) * share >= rules.EXPECTED_RECEIPTS
                values: Values = {"minutes": minutes, "store": store, "till": till}
                link = _page(f"/shops/{quote(store, '')}/tills/{quote(till, '')}", zone)
                yield Finding(rule, minutes, values, link, significant, f"{store}/{till}", context.stores.title(store))


def silent_product(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    zone, allowed = context.chain, context.settings.silent_shop_minutes
    chain = zone.baseline.chain
    opened = zone.opened(chain)
    if chain is None or opened is None:
        return
    for product, baseline in zone.baseline.products.items():
        last = context.products.get(product)
        if last is None and not _is_expected(baseline, zone):
            continue
        minutes, start = _silent_minutes(context, max(opened, last or opened), allowed)
        # The query in `receipts_since` is too slow to run for every product.
        if not _is_near(context, rule, minutes):
            continue
        expected = zone.expected(baseline, start)
        if expected >= rules.EXPECTED_RECEIPTS:
            usual = zone.expected(chain, start)
            expected *= min(1.0, context.receipts_since(zone.local_time(start)) / usual) if usual else 0
        values: Values = {"minutes": minutes, "product": product}
        link = _page(f"/products/{quote(product, '')}", zone)
        yield Finding(rule, minutes, values, link, expected >= rules.EXPECTED_RECEIPTS, product, baseline.title)


def below_pace(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    unit = minor_unit(context.settings.currency)
    for store in context.sales:
        zone = context.zone(store)
        baseline = zone.baseline.stores.get(store)
        if baseline is None or not _sells_later(context, store, zone):
            continue
        total, receipts = baseline.first_hours(zone.hours)
        if total > 0:
            revenue = zone.revenue.get(store, Decimal(0))
            percent = _percent(total - revenue * baseline.weeks, total)
            usual = amount(total / baseline.weeks, unit)
            values: Values = {"percent": str(percent), "revenue": amount(revenue, unit), "usual": usual}
            yield _of_store(context, rule, store, percent, values, receipts >= rules.PACE_RECEIPTS * baseline.weeks)


def refunds(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    highest = format(-minor_unit(context.settings.currency), "f")
    for store, sales in context.sales.items():
        zone = context.zone(store)
        if _sells_later(context, store, zone):
            percent, values = _share("refunds", sales.refunds, sales.receipts)
            link = _page("/receipts", zone, store=store, max=highest)
            yield _of_store(context, rule, store, percent, values, sales.receipts >= rules.REFUND_RECEIPTS, link)


def quarantine(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    sql = "SELECT count(*) AS entries FROM quarantine WHERE received_at > ?"
    [row] = context.reader.query(sql, [context.moment - HOUR])
    yield Finding(rule, row["entries"], {"entries": row["entries"]}, "/quarantine")


def engine_lag(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    lag = context.lag
    yield Finding(rule, lag.seconds, {"seconds": lag.seconds, "records": lag.records}, "/health/ready")


def anomalies(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    sales = context.sales.values()
    receipts = sum(each.recent for each in sales)
    percent, values = _share("anomalies", sum(each.anomalies for each in sales), receipts)
    link = _page("/receipts", context.chain, anomaly="any")
    yield Finding(rule, percent, values, link, receipts >= rules.ANOMALY_RECEIPTS)


def shop_anomalies(context: AlertContext, rule: Rule) -> Iterator[Finding]:
    for store, sales in context.sales.items():
        percent, values = _share("anomalies", sales.anomalies, sales.recent)
        link = _page("/receipts", context.zone(store), store=store, anomaly="any")
        yield _of_store(context, rule, store, percent, values, sales.recent >= rules.ANOMALY_RECEIPTS, link)


_CONDITIONS: Mapping[str, Callable[[AlertContext, Rule], Iterator[Finding]]] = {
    condition.__name__: condition
    for condition in (
        silent_chain, engine_lag, silent_shop, silent_till, silent_product, below_pace, refunds, quarantine, anomalies,
        shop_anomalies,
    )
}  # fmt: skip


def _of_store(
    context: AlertContext,
    rule: Rule,
    store: str,
    figure: int | Decimal,
    values: Values,
    significant: bool,
    link: str = "",
) -> Finding:
    page = link or _page(f"/shops/{quote(store, '')}", context.zone(store))
    return Finding(rule, figure, values, page, significant, store, context.stores.title(store))


def _is_near(context: AlertContext, rule: Rule, figure: int | Decimal) -> bool:
    """Return whether the figure is high enough to keep an alert active."""
    return figure * 100 >= rule.threshold(context.settings) * rules.CLEAR_PERCENT


def _silent_minutes(context: AlertContext, last: datetime, allowed: int) -> tuple[int, datetime]:
    """Return the number of full minutes without receipts since `last`, and the time from which they are counted.

    The silence of the whole chain does not count as silence of a store, till or product. If the chain fell silent
    less than `allowed` minutes after `last`, the minutes are therefore counted from the end of the chain's silence.
    """
    silence = context.silence
    if silence and last < silence.until and silence.since - last < allowed * MINUTE:
        last = silence.until
    return max(0, (context.moment - last) // MINUTE), last


def _is_expected(baseline: HourlyBaseline, zone: ZoneContext) -> bool:
    """Return whether the store, till or product had sales on the most recent past day on which the chain had sales.

    If it had none, it may no longer exist, so no sales are expected today.
    """
    chain = zone.baseline.chain
    return chain is not None and baseline.last == chain.last


def _opened(context: AlertContext, store_id: str, zone: ZoneContext) -> datetime | None:
    """Return the time (UTC) at which the store opened, or None if it is closed now.

    A store without opening hours counts as open in its usual hours.
    """
    store = context.stores.get(store_id)
    if not store.hours:
        return zone.opened(zone.baseline.stores.get(store_id))
    opening = store.opening_at(zone.local)
    return zone.utc(datetime.combine(zone.local.date(), opening.opens)) if opening else None


def _sells_later(context: AlertContext, store_id: str, zone: ZoneContext) -> bool:
    """Return whether the store may be open now or later today."""
    store, baseline = context.stores.get(store_id), zone.baseline.stores.get(store_id)
    if store.hours:
        weekday, clock = zone.local.weekday(), zone.local.time()
        return any(each.weekday == weekday and clock < each.closes for each in store.hours)
    return baseline is None or baseline.sells_later(zone.local)


def _share_of_baseline(baseline: HourlyBaseline, receipts: int, zone: ZoneContext) -> float:
    """Return today's receipts of a store, divided by the receipts that were expected up to now, but at most 1.

    If no receipts were expected, return 1.
    """
    begin = zone.local.replace(minute=0, second=0, microsecond=0) - zone.hours * HOUR
    usual = baseline.expected(begin, zone.local)
    return min(1.0, receipts / usual) if usual else 1.0


def _percent(part: int | Decimal, whole: int | Decimal) -> Decimal:
    """Return `part` as a percentage of `whole`, rounded down to a tenth so that it never reaches a threshold early."""
    if not whole:
        return Decimal(0)
    return (Decimal(part) * 100 / Decimal(whole)).quantize(_TENTH, ROUND_FLOOR)


def _share(name: str, part: int, receipts: int) -> tuple[Decimal, Values]:
    """Return `part` as a percentage of `receipts`, and the values of the alert, with `part` under `name`."""
    percent = _percent(part, receipts)
    return percent, {"percent": str(percent), name: part, "receipts": receipts}


def _page(path: str, zone: ZoneContext, **filters: str) -> str:
    return f"{path}?{urlencode({'day': zone.day.isoformat(), **filters})}"
