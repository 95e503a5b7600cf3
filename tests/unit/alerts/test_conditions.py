"""Each rule fires at its threshold, not just below it, and clears. A closed shop has no alert."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import to_builtins

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.sales_simulation import SalesSimulation, active_alerts
from tests.support.receipts import body
from tillstream.alerts.evaluator import Alerts
from tillstream.config.settings import Settings
from tillstream.stores.model import Opening, Store, StoreList

Make = Callable[..., SalesSimulation]


@pytest.fixture
def make(tmp_path: Path) -> Any:
    opened: list[Pipeline] = []

    def simulation(
        shops: StoreList | None = None, zones: dict[str, str] | None = None, **settings: Any
    ) -> SalesSimulation:
        pipeline = Pipeline(tmp_path, Settings(**settings))
        opened.append(pipeline)
        return SalesSimulation(pipeline, shops, zones)

    yield simulation
    for pipeline in opened:
        pipeline.close()


def opening(opens: time, closes: time) -> tuple[Opening, ...]:
    return tuple(Opening(weekday, opens, closes) for weekday in range(7))


def of_products(*codes: str) -> Callable[..., dict[str, Any]]:
    """Receipts with lines of these products only."""

    def made(**changes: Any) -> dict[str, Any]:
        receipt = body(**changes)
        receipt["lines"] = [line for line in receipt["lines"] if line["productCode"] in codes]
        return receipt

    return made


def of_total(amount: float) -> Callable[..., dict[str, Any]]:
    def made(**changes: Any) -> dict[str, Any]:
        total = {"grossTotal": amount}
        return body(**changes, documentTotal=total, lines=[], settlements=[])

    return made


def test_given_a_chain_that_sells_as_usual_when_evaluated_all_day_then_no_alert_is_active(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at()
    for clock in ("09:30", "12:00", "13:59", "18:00", "18:59", "19:10", "19:40", "20:00", "23:50"):
        simulation.sell_until(clock)
        assert alerts.current() == Alerts([], 0), clock


def test_given_a_shop_when_it_falls_silent_in_its_usual_hours_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("12:18:29", "2")
    assert active_alerts(alerts, "silent_shop") == []
    simulation.sell_until("12:18:40", "2")
    [alert] = active_alerts(alerts, "silent_shop")
    assert to_builtins(alert) == {
        "rule": "silent_shop",
        "level": "bad",
        "since": "2026-11-23T12:18:40",
        "subject": "2",
        "title": "2",
        "values": {"minutes": 20},
        "link": "/shops/2?day=2026-11-23",
    }
    simulation.sell_until("12:30", "2")
    [later] = active_alerts(alerts, "silent_shop")
    assert (later.since, later.values) == (alert.since, {"minutes": 31})
    simulation.sell_until("12:32")
    assert alerts.active() == []


def test_given_a_shop_that_never_opens_in_its_usual_hours_then_silence_counts_from_the_second_usual_hour(
    make: Make,
) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("08:19:50", "2")
    assert active_alerts(alerts, "silent_shop") == []
    simulation.sell_until("08:20:10", "2")
    assert [row.subject for row in active_alerts(alerts, "silent_shop")] == ["2"]


def test_given_a_silent_shop_when_it_should_have_closed_then_its_alert_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("17:00")
    simulation.sell_until("17:59:30", "2")
    assert active_alerts(alerts, "silent_shop")
    simulation.sell_until("18:00", "2")
    assert active_alerts(alerts, "silent_shop") == []


def test_given_a_listed_shop_when_it_is_silent_then_its_opening_hours_count(make: Make) -> None:
    shops = StoreList({"2": Store("2", "Lyon", hours=opening(time(7), time(18, 30)))})
    simulation = make(shops)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("07:19:50", "2")
    assert active_alerts(alerts, "silent_shop") == []
    simulation.sell_until("07:20:10", "2")
    [alert] = active_alerts(alerts, "silent_shop")
    assert (alert.subject, alert.title) == ("2", "Lyon")
    simulation.sell_until("18:29:30", "2")
    assert active_alerts(alerts, "silent_shop")
    simulation.sell_until("18:30", "2")
    assert active_alerts(alerts, "silent_shop") == []


def test_given_a_listed_shop_in_another_zone_when_its_own_day_is_over_then_it_may_be_silent(make: Make) -> None:
    shops = StoreList({"3": Store("3", zone="Indian/Reunion", hours=opening(time(7), time(19)))})
    simulation = make(shops, {"3": "Indian/Reunion"}, store_zones={"3": "Indian/Reunion"})
    simulation.sell_past_weeks()
    # 15:30 in Paris is 18:30 on Réunion.
    alerts = simulation.evaluator_at("15:30")
    simulation.sell_until("15:59:40", "1", "2")
    assert [row.subject for row in active_alerts(alerts, "silent_shop")] == ["1", "2"]


def test_given_a_zone_in_the_list_when_the_shop_falls_silent_then_its_own_clock_counts(make: Make) -> None:
    shops = StoreList({"3": Store("3", zone="Indian/Reunion", hours=opening(time(7), time(19)))})
    simulation = make(shops, {"3": "Indian/Reunion"}, store_zones={"3": "Indian/Reunion"})
    simulation.sell_past_weeks()
    # At noon in Paris its own clock shows 15:00.
    alerts = simulation.evaluator_at("15:00", "3")
    [alert] = active_alerts(alerts, "silent_shop")
    assert (alert.subject, alert.values) == ("3", {"minutes": 11 * 60})


def test_given_a_slow_shop_when_its_silence_may_be_chance_then_nothing_fires(make: Make) -> None:
    simulation = make()
    # 14 receipts in the hour from noon: ten of them take 42 minutes and 51 seconds.
    simulation.intervals["2"] = timedelta(minutes=4, seconds=30)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:01")
    simulation.sell_until("12:42:40", "2")
    assert active_alerts(alerts, "silent_shop") == []
    simulation.sell_until("12:43:00", "2")
    assert [row.values for row in active_alerts(alerts, "silent_shop")] == [{"minutes": 43}]


def test_given_a_shop_without_a_past_when_it_is_in_the_list_and_sold_today_then_its_silence_counts(make: Make) -> None:
    shops = StoreList(
        {"9": Store("9", hours=opening(time(7), time(19))), "8": Store("8", hours=opening(time(7), time(19)))}
    )
    simulation = make(shops)
    simulation.sell_past_weeks()
    simulation.tills = (*simulation.tills, ("9", "1"))
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("12:30", "9")
    assert [row.subject for row in active_alerts(alerts, "silent_shop")] == ["9"]


def test_given_a_till_when_it_falls_silent_while_its_shop_sells_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("12:43:20", "1/2")
    assert active_alerts(alerts, "silent_till") == []
    simulation.sell_until("12:43:40", "1/2")
    [alert] = active_alerts(alerts, "silent_till")
    assert (alert.subject, alert.level, alert.link) == ("1/2", "warn", "/shops/1/tills/2?day=2026-11-23")
    assert alert.values == {"minutes": 45, "store": "1", "till": "2"}
    simulation.sell_until("12:45:10")
    assert alerts.active() == []


def test_given_a_silent_shop_when_its_tills_are_silent_for_long_then_only_the_shop_has_an_alert(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("13:30", "1")
    assert [(row.rule, row.subject) for row in alerts.active()] == [("silent_shop", "1")]


def test_given_a_silent_till_when_its_shop_is_silent_for_a_while_too_then_its_alert_stays_active(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("13:00", "1/2")
    [alert] = active_alerts(alerts, "silent_till")
    simulation.sell_until("13:15", "1")
    assert [row.since for row in active_alerts(alerts, "silent_till")] == [alert.since]
    simulation.sell_until("14:10", "1")
    assert [row.rule for row in alerts.active() if row.subject.startswith("1")] == ["silent_shop"]


def test_given_a_till_without_sales_last_week_when_it_is_silent_then_nothing_fires(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks(2)
    simulation.tills = simulation.tills[:1] + simulation.tills[2:]
    simulation.sell_past_weeks(1)
    alerts = simulation.evaluator_at("12:00")
    assert active_alerts(alerts, "silent_till") == []


def test_given_a_product_when_no_shop_sells_it_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    bread = of_products("BAG")
    simulation.sell_until("12:58:20", make_receipt=bread)
    assert active_alerts(alerts, "silent_product") == []
    simulation.sell_until("12:58:40", make_receipt=bread)
    [alert] = active_alerts(alerts, "silent_product")
    assert (alert.subject, alert.title) == ("SAN", "Sandwich jambon")
    assert alert.values == {"minutes": 60, "product": "SAN"}
    assert alert.link == "/products/SAN?day=2026-11-23"
    simulation.sell_until("13:05")
    assert active_alerts(alerts, "silent_product") == []


def pace(make: Make, cents: str) -> Any:
    simulation = make()
    simulation.sell_past_weeks()
    simulation.sell_until("10:00")
    simulation.sell_until(
        "12:00", make_receipt=lambda **changes: of_total(float(cents) if changes["storeID"] == "2" else 5.0)(**changes)
    )
    return simulation


def test_given_a_shop_just_above_the_pace_threshold_when_the_hour_is_full_then_nothing_fires(make: Make) -> None:
    # 120 receipts of 5.00 € and 80 of 1.26 € against 200 of 5.00 €: 29.92 % below.
    assert active_alerts(pace(make, "1.26").evaluator(), "below_pace") == []


def test_given_a_shop_below_its_pace_when_it_catches_up_then_its_alert_clears(make: Make) -> None:
    # 120 of 5.00 € and 80 of 1.25 €: 30.0 % below.
    simulation = pace(make, "1.25")
    alerts = simulation.evaluator()
    [alert] = active_alerts(alerts, "below_pace")
    assert (alert.subject, alert.link) == ("2", "/shops/2?day=2026-11-23")
    assert alert.values == {"percent": "30.0", "revenue": "700.00", "usual": "1000.00"}
    # 25 % below: under the threshold, but not cleared yet.
    simulation.sell_until("13:00")
    assert active_alerts(alerts, "below_pace")
    simulation.sell_until("14:00")
    assert active_alerts(alerts, "below_pace") == []


def test_given_few_expected_receipts_when_a_shop_is_below_its_pace_then_nothing_fires_yet(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    # Two tills of shop 1 sold 160 receipts up to nine, one of the others 80.
    simulation.sell_until("09:10", make_receipt=of_total(1.0))
    assert [row.subject for row in active_alerts(simulation.evaluator(), "below_pace")] == ["1"]
    simulation.sell_until("10:10", make_receipt=of_total(1.0))
    assert [row.subject for row in active_alerts(simulation.evaluator(), "below_pace")] == ["1", "2", "3"]


def test_given_a_shop_below_its_pace_when_it_has_closed_then_its_alert_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    simulation.sell_until("18:50", make_receipt=of_total(1.0))
    alerts = simulation.evaluator()
    assert len(active_alerts(alerts, "below_pace")) == 3
    simulation.sell_until("19:00", make_receipt=of_total(1.0))
    assert alerts.active() == []


def test_given_a_shop_when_its_refunds_reach_the_threshold_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    simulation.sell_until("10:00")
    alerts = simulation.evaluator()
    refund = of_total(-2.0)
    # Shop 2 has 120 receipts: with six refunds 4.8 %, with seven 5.6 %.
    simulation.sell_until("10:08:50", "1", "3", make_receipt=refund)
    assert active_alerts(alerts, "refunds") == []
    simulation.sell_until("10:10", "1", "3", make_receipt=refund)
    [alert] = active_alerts(alerts, "refunds")
    assert alert.values == {"percent": "5.5", "refunds": 7, "receipts": 127}
    assert alert.link == "/receipts?day=2026-11-23&store=2&max=-0.01"
    simulation.sell_until("11:00")
    assert active_alerts(alerts, "refunds")
    simulation.sell_until("11:30")
    assert active_alerts(alerts, "refunds") == []


def test_given_few_receipts_when_some_are_refunds_then_nothing_fires(make: Make) -> None:
    simulation = make()
    simulation.sell_until("08:10", make_receipt=of_total(-2.0))
    assert active_alerts(simulation.evaluator(), "refunds") == []


def test_given_refused_receipts_when_they_fill_the_quarantine_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make(alert_quarantine_per_hour=5)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    for number in range(4):
        simulation.pipeline.refuse(b"%d" % number, [{"path": "$", "error": "broken off", "hint": ""}])
    simulation.pipeline.drain()
    assert active_alerts(alerts, "quarantine") == []
    simulation.sell_until("12:01")
    simulation.pipeline.refuse(b"5", [{"path": "$", "error": "broken off", "hint": ""}])
    simulation.pipeline.drain()
    [alert] = active_alerts(alerts, "quarantine")
    assert (alert.values, alert.link, alert.subject) == ({"entries": 5}, "/quarantine", "")
    simulation.sell_until("13:00:20")
    assert active_alerts(alerts, "quarantine") == []


def anomalous(**changes: Any) -> dict[str, Any]:
    """A receipt that is not paid in full, in shop 2."""
    paid = 4.0 if changes["storeID"] == "2" else 5.0
    return body(**changes, settlements=[{"paymentMechanism": "CB", "settlementAmount": paid}])


def test_given_a_shop_when_its_receipts_do_not_add_up_then_its_alert_fires_and_clears(make: Make) -> None:
    simulation = make(alert_anomaly_percent=25)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    # 40 receipts within the hour; the first anomalies are at noon.
    simulation.sell_until("12:13:20", make_receipt=anomalous)
    assert active_alerts(alerts, "shop_anomalies") == []
    simulation.sell_until("12:13:40", make_receipt=anomalous)
    [alert] = active_alerts(alerts, "shop_anomalies")
    assert alert.subject == "2"
    assert alert.values == {"percent": "25.0", "anomalies": 10, "receipts": 40}
    assert alert.link == "/receipts?day=2026-11-23&store=2&anomaly=any"
    assert active_alerts(alerts, "anomalies") == []
    simulation.sell_until("13:05")
    assert active_alerts(alerts, "shop_anomalies") == []


def test_given_anomalies_in_all_shops_when_evaluated_then_only_the_chain_has_an_alert(make: Make) -> None:
    simulation = make(alert_anomaly_percent=25)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")

    def everywhere(**changes: Any) -> dict[str, Any]:
        return body(**changes, settlements=[{"paymentMechanism": "CB", "settlementAmount": 4.0}])

    simulation.sell_until("12:13:20", make_receipt=everywhere)
    assert active_alerts(alerts, "anomalies") == []
    simulation.sell_until("12:13:40", make_receipt=everywhere)
    [alert] = active_alerts(alerts, "anomalies")
    assert alert.values == {"percent": "25.0", "anomalies": 40, "receipts": 160}
    assert (alert.subject, alert.link) == ("", "/receipts?day=2026-11-23&anomaly=any")
    assert active_alerts(alerts, "shop_anomalies") == []
    simulation.sell_until("13:10")
    assert alerts.active() == []


def test_given_a_chain_when_no_shop_sends_receipts_then_only_the_chain_has_an_alert(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    everything = ("1", "2", "3")
    simulation.sell_until("12:03:20", *everything)
    assert alerts.active() == []
    simulation.sell_until("12:03:40", *everything)
    [alert] = alerts.active()
    assert (alert.rule, alert.level, alert.values) == ("silent_chain", "bad", {"minutes": 5})
    simulation.sell_until("12:50", *everything)
    assert [row.rule for row in alerts.active()] == ["silent_chain"]
    # Shop 1 sells again, and the silence of the chain does not count for the others.
    simulation.sell_until("12:52", "2", "3")
    assert alerts.active() == []
    simulation.sell_until("13:12", "2")
    assert [(row.rule, row.subject) for row in alerts.active()] == [("silent_shop", "2")]


def test_given_a_lag_of_the_figures_when_it_lasts_then_the_lag_fires_and_no_shop_counts_as_silent(make: Make) -> None:
    simulation = make()
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    everything = ("1", "2", "3")
    simulation.sell_until("12:00:10", *everything)
    simulation.pipeline.append(body(cashReceiptID="unread", date="2026-11-23 12:00:05"))
    assert alerts.active() == []
    simulation.sell_until("12:00:39", *everything)
    assert alerts.active() == []
    simulation.sell_until("12:00:50", *everything)
    [alert] = alerts.active()
    assert (alert.rule, alert.level, alert.link) == ("engine_lag", "bad", "/health/ready")
    assert alert.values == {"seconds": 40, "records": 1}
    simulation.sell_until("12:45", *everything)
    assert [row.rule for row in alerts.active()] == ["engine_lag"]
    simulation.sell_until("12:47")
    assert alerts.active() == []


def test_given_a_chain_that_sells_nothing_when_evaluated_then_no_till_and_no_product_has_an_alert(make: Make) -> None:
    simulation = make(alert_silent_chain_minutes=0)
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("13:30", "1", "2", "3")
    assert [(row.rule, row.subject) for row in alerts.active()] == [
        ("silent_shop", "1"),
        ("silent_shop", "2"),
        ("silent_shop", "3"),
    ]


def test_given_a_shop_that_sells_a_quarter_of_its_usual_when_a_till_is_silent_then_its_alert_fires_later(
    make: Make,
) -> None:
    simulation = make(alert_silent_till_minutes=16)
    simulation.sell_past_weeks()
    # The shop has 80 of its usual 320 receipts up to 11:00. A till usually sells ten in 15 minutes.
    simulation.intervals["1"] = timedelta(minutes=6)
    alerts = simulation.evaluator_at("11:00")
    simulation.sell_until("11:50", "1/2")
    assert active_alerts(alerts, "silent_till") == []
    simulation.sell_until("12:10", "1/2")
    assert [row.subject for row in active_alerts(alerts, "silent_till")] == ["1/2"]


def test_given_ids_with_special_characters_when_linked_then_they_are_escaped_in_the_path(make: Make) -> None:
    simulation = make()
    simulation.tills = (("a/b&c", "ü 1"), ("a/b&c", "2"), ("2", "1"))
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    simulation.sell_until("12:50", "a/b&c/ü 1")
    [alert] = active_alerts(alerts, "silent_till")
    assert alert.link == "/shops/a%2Fb%26c/tills/%C3%BC%201?day=2026-11-23"
    assert (alert.values["store"], alert.values["till"]) == ("a/b&c", "ü 1")


@pytest.mark.parametrize(
    "setting",
    [
        "alert_silent_chain_minutes",
        "alert_lag_seconds",
        "alert_silent_shop_minutes",
        "alert_silent_till_minutes",
        "alert_silent_product_minutes",
        "alert_below_pace_percent",
        "alert_refund_percent",
        "alert_quarantine_per_hour",
        "alert_anomaly_percent",
    ],
)
def test_given_a_threshold_of_zero_when_evaluated_then_the_rule_is_off(make: Make, setting: str) -> None:
    simulation = make(**{setting: 0})
    simulation.sell_past_weeks()
    alerts = simulation.evaluator_at("12:00")
    assert alerts.active() == []
    assert all(f"alert_{name}" != setting for name in alerts.counts())
