"""Context of the alerts: the sales of each store today, in its own time zone and by the time of arrival."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts, receipt_with_total
from tests.support.receipts import NOON_US, body
from tillstream.alerts.context import AlertContext, AlertContexts
from tillstream.config.settings import Settings
from tillstream.receipt.business_day import Calendar
from tillstream.stores.model import Store, StoreList

NOON = datetime.fromisoformat("2026-11-23T11:00:00")


def context_of(pipeline: Pipeline, shops: StoreList | None = None, **settings: object) -> AlertContext:
    known = Settings(**settings)  # type: ignore[arg-type]
    with pipeline.database.snapshot() as reader:
        return AlertContexts(known, Calendar(known, pipeline.clock)).read(
            reader, pipeline.clock.now_us(), shops or StoreList()
        )


def test_given_sales_when_read_then_each_shop_has_its_receipts_refunds_and_tills(pipeline: Pipeline) -> None:
    process_receipts(
        pipeline,
        receipt_with_total("5.00", date="2026-11-23 09:00:00"),
        receipt_with_total("-5.00", cashReceiptID="2", terminalID="4"),
    )
    pipeline.clock.advance(60)
    process_receipts(pipeline, receipt_with_total("5.00", cashReceiptID="3", storeID="13"))
    context = context_of(pipeline)
    assert context.active_stores() == {"12", "13"}
    sold = context.sales["12"]
    assert (sold.receipts, sold.refunds, sold.recent, sold.last) == (2, 1, 2, NOON)
    assert sold.tills == {"3": NOON, "4": NOON}
    assert (context.sales["13"].last - NOON).total_seconds() == 60
    assert context.chain.revenue == {"12": Decimal("0.00") + Decimal("5.00") - Decimal("5.00"), "13": Decimal("5.00")}
    assert context.chain.hours == 12


def test_given_a_till_whose_clock_is_ahead_when_read_then_its_last_receipt_counts_by_arrival(
    pipeline: Pipeline,
) -> None:
    process_receipts(pipeline, receipt_with_total("5.00", date="2026-11-23 18:00:00"))
    assert context_of(pipeline).sales["12"].last == NOON


def test_given_anomalies_when_they_arrived_more_than_an_hour_ago_then_they_do_not_count(pipeline: Pipeline) -> None:
    short = {"settlements": [{"paymentMechanism": "CB", "settlementAmount": 1.0}]}
    process_receipts(pipeline, body(**short))
    pipeline.clock.advance(3_000)
    process_receipts(pipeline, body(cashReceiptID="2", **short), body(cashReceiptID="3"))
    pipeline.clock.advance(1_000)
    sold = context_of(pipeline).sales["12"]
    assert (sold.receipts, sold.recent, sold.anomalies) == (3, 2, 1)


def test_given_shops_in_two_zones_when_their_days_differ_then_each_has_its_own_today(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path, Settings(store_zones={"9": "Pacific/Auckland"}))
    pipeline.clock.advance(12 * 3_600 - 600)
    process_receipts(
        pipeline,
        receipt_with_total("5.00", date="2026-11-23 23:00:00"),
        receipt_with_total("5.00", cashReceiptID="2", storeID="9", date="2026-11-24 11:00:00"),
        receipt_with_total("5.00", cashReceiptID="3", storeID="9", date="2026-11-23 11:00:00"),
    )
    shops = StoreList({"7": Store("7", zone="America/Guadeloupe")})
    context = context_of(pipeline, shops, store_zones={"9": "Pacific/Auckland"})
    assert {name: zone.day for name, zone in context.zones.items()} == {
        "Europe/Paris": date(2026, 11, 23),
        "Pacific/Auckland": date(2026, 11, 24),
        "America/Guadeloupe": date(2026, 11, 23),
    }
    assert context.sales["9"].receipts == 1
    zone = context.zone("9")
    assert zone.local == datetime.fromisoformat("2026-11-24T11:50:00")
    assert zone.local_time(zone.utc(zone.local)) == zone.local
    pipeline.close()


def test_given_a_business_day_that_begins_at_half_past_four_when_it_is_earlier_then_it_is_still_yesterday(
    pipeline: Pipeline,
) -> None:
    pipeline.clock.advance(-8 * 3_600)
    zone = context_of(pipeline, day_start="04:30").chain
    assert (zone.day, zone.local.hour) == (date(2026, 11, 22), 4)


def test_given_products_when_read_then_each_has_the_time_of_its_last_receipt(pipeline: Pipeline) -> None:
    process_receipts(pipeline, body())
    pipeline.clock.advance(600)
    process_receipts(pipeline, receipt_with_total("5.00", cashReceiptID="2"))
    assert context_of(pipeline).products["SAN"] == NOON
    assert context_of(pipeline, alert_silent_product_minutes=0).products == {}


def test_given_a_minute_of_today_when_counted_then_the_receipts_from_that_minute_on_count(pipeline: Pipeline) -> None:
    assert pipeline.clock.now_us() == NOON_US
    process_receipts(pipeline, body(date="2026-11-23 10:00:00"), body(cashReceiptID="2", date="2026-11-23 11:30:00"))
    with pipeline.database.snapshot() as reader:
        context = AlertContexts(Settings(), Calendar(Settings(), pipeline.clock)).read(reader, NOON_US, StoreList())
        assert context.receipts_since(datetime.fromisoformat("2026-11-23T11:00:00")) == 1
