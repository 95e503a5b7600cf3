"""The overview: all panels show one commit. `tests/property/test_overview.py` recounts its numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec import to_builtins

from tests.inprocess.dashboard import quarantine_service_of
from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts
from tests.support.receipts import body
from tillstream.errors import BadQuery
from tillstream.queries.overview.overview import describe_scope
from tillstream.queries.overview.scope import Scope, parse_scope
from tillstream.queries.queries import Queries
from tillstream.stores.model import Store, StoreList

Interrupt = Callable[[str, Callable[[], object]], None]


def test_given_no_receipts_when_read_then_every_panel_is_present(queries: Queries) -> None:
    overview = to_builtins(queries.overview())
    assert overview["scope"]["kind"] == "chain"
    assert (overview["from"], overview["to"], overview["live"]) == ("2026-11-23", "2026-11-23", True)
    assert overview["vs"] == {"from": "2026-11-16", "to": "2026-11-16", "until": "12:00", "empty": True}
    assert overview["tiles"]["revenue"] == {"value": "0.00", "before": None, "change": None}
    assert (overview["categories"], overview["hours"]) == ([], {"hours": [], "rows": []})
    assert (overview["payments"], overview["vat"], overview["latest"]) == ([], [], [])
    assert overview["shops"] == {"best": [], "worst": []}
    assert overview["counters"] == {
        "duplicates": 0,
        "conflicts": 0,
        "quarantined": 0,
        "waiting": {"conflicts": 0, "quarantined": 0},
        "anomalies": 0,
    }
    assert (overview["today"], overview["currency"], overview["lag"], overview["age_ms"]) == ("2026-11-23", "EUR", 0, 0)


def test_given_receipts_that_arrive_during_a_read_then_the_overview_shows_one_commit(
    pipeline: Pipeline, queries: Queries, interrupt: Interrupt
) -> None:
    process_receipts(pipeline, body())
    interrupt(
        "metric_sales_by_minute", lambda: process_receipts(pipeline, body(cashReceiptID=str(pipeline.clock.now_us())))
    )
    overview = to_builtins(queries.overview())
    assert overview["tiles"]["receipts"]["value"] == 1
    assert (sum(overview["pace"]["receipts"]), len(overview["latest"])) == (1, 1)
    assert to_builtins(queries.overview())["tiles"]["receipts"]["value"] > 1


def test_given_duplicates_and_other_days_when_read_then_only_the_chain_has_them(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(), body(date="2026-11-20 10:00:00"))
    process_receipts(pipeline, body())
    overview = to_builtins(queries.overview())
    assert (overview["counters"]["duplicates"], overview["other_days"]) == (1, [{"day": "2026-11-20", "receipts": 1}])
    shop = to_builtins(queries.overview({"store": "12"}))
    assert shop["counters"] == {
        "duplicates": None,
        "conflicts": None,
        "quarantined": None,
        "waiting": None,
        "anomalies": 0,
    }
    assert shop["other_days"] == []


def test_given_a_product_when_read_then_its_title_is_the_description_of_the_tills(
    pipeline: Pipeline, queries: Queries
) -> None:
    process_receipts(pipeline, body(date="2026-11-16 10:00:00"))
    for query in ({"product": "BAG"}, {"product": "BAG", "day": "2026-11-16"}):
        scope = to_builtins(queries.overview(query))["scope"]
        assert (scope["title"], scope["parents"][0]["category"]) == ("Baguette tradition", "Pain")
    assert to_builtins(queries.overview({"product": "?"}))["scope"]["title"] == "?"


def test_given_an_unknown_parameter_when_read_then_it_is_refused(queries: Queries) -> None:
    with pytest.raises(BadQuery, match="there is no such parameter"):
        to_builtins(queries.overview({"shop": "12"}))


def test_given_entries_with_a_decision_when_read_then_only_the_others_are_waiting(
    pipeline: Pipeline, queries: Queries
) -> None:
    pipeline.append(body())
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    for _ in range(2):
        pipeline.refuse(b"{", [{"path": "$", "error": "not JSON", "hint": ""}])
    pipeline.drain()
    quarantine_service_of(pipeline, queries).discard([queries.quarantine({"kind": "refused"}).entries[0].id])
    counters = to_builtins(queries.overview())["counters"]
    assert (counters["quarantined"], counters["conflicts"]) == (2, 1)
    assert counters["waiting"] == {"conflicts": 1, "quarantined": 1}


SHOPS = StoreList({"12": Store("12", "Rennes Sainte-Anne", "Rennes", "Bretagne")})


def test_given_the_chain_when_described_then_it_has_no_parents() -> None:
    assert describe_scope(Scope(), SHOPS).parents == []


def test_given_a_till_when_described_then_its_shop_and_region_are_its_parents() -> None:
    described = describe_scope(parse_scope(SHOPS, {"store": "12", "till": "3"}), SHOPS)
    assert (described.title, described.city, described.till) == ("3", "Rennes", "3")
    assert to_builtins(described.parents) == [
        {"kind": "region", "title": "Bretagne", "region": "Bretagne"},
        {"kind": "store", "title": "Rennes Sainte-Anne", "store": "12"},
    ]


def test_given_a_product_when_described_then_it_has_its_name_and_category() -> None:
    described = describe_scope(parse_scope(SHOPS, {"product": "BAG"}), SHOPS, "Baguette", "Pain")
    assert (described.title, to_builtins(described.parents)) == (
        "Baguette",
        [{"kind": "category", "title": "Pain", "category": "Pain"}],
    )
