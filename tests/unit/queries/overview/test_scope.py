"""Which part of the chain is asked for."""

from __future__ import annotations

import pytest

from tillstream.errors import BadQuery
from tillstream.queries.overview.scope import described, parse_scope
from tillstream.stores.model import Store, StoreList

SHOPS = StoreList({"12": Store("12", "Rennes Sainte-Anne", "Rennes", "Bretagne"), "9": Store("9", region="Bretagne")})


def test_given_nothing_when_parsed_then_it_is_the_chain() -> None:
    scope = parse_scope(SHOPS, {"day": "2026-11-23"})
    assert (scope.kind, scope.condition, scope.source) == ("chain", ("true", []), "receipts")
    assert described(scope, SHOPS)["parents"] == []


@pytest.mark.parametrize(
    ("query", "kind", "source", "condition"),
    [
        ({"region": "Bretagne"}, "region", "receipts", ("store IN (?, ?)", ["12", "9"])),
        ({"store": "12"}, "store", "receipts", ("store = ?", ["12"])),
        ({"till": "3", "store": "12"}, "till", "receipts", ("store = ? AND till = ?", ["12", "3"])),
        ({"category": "Pain"}, "category", "lines", ("category = ?", ["Pain"])),
        ({"product": "BAG"}, "product", "lines", ("product = ?", ["BAG"])),
    ],
)
def test_given_one_part_when_parsed_then_its_rows_are_told(
    query: dict[str, str], kind: str, source: str, condition: tuple[str, list[str]]
) -> None:
    scope = parse_scope(SHOPS, query)
    assert (scope.kind, scope.source, scope.condition) == (kind, source, condition)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"till": "3"}, "till"),
        ({"store": "12", "category": "Pain"}, "category"),
        ({"till": "3", "store": "12", "product": "BAG"}, "product"),
        ({"region": "Corse"}, "region"),
    ],
)
def test_given_a_wrong_part_when_parsed_then_the_refusal_names_it(query: dict[str, str], named: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_scope(SHOPS, query)
    assert caught.value.path == named


def test_given_a_till_when_described_then_its_shop_and_region_stand_above_it() -> None:
    told = described(parse_scope(SHOPS, {"store": "12", "till": "3"}), SHOPS)
    assert (told["title"], told["city"], told["till"]) == ("3", "Rennes", "3")
    assert told["parents"] == [
        {"kind": "region", "title": "Bretagne", "region": "Bretagne"},
        {"kind": "store", "title": "Rennes Sainte-Anne", "store": "12"},
    ]


def test_given_a_product_when_described_then_it_has_its_name_and_category() -> None:
    told = described(parse_scope(SHOPS, {"product": "BAG"}), SHOPS, "Baguette", "Pain")
    assert (told["title"], told["parents"]) == (
        "Baguette",
        [{"kind": "category", "title": "Pain", "category": "Pain"}],
    )


def test_given_scopes_when_shops_are_looked_up_then_each_has_its_own() -> None:
    def has(query: dict[str, str], store: str) -> bool:
        return parse_scope(SHOPS, query).has(store)

    assert has({}, "77")
    assert (has({"region": "Bretagne"}, "12"), has({"region": "Bretagne"}, "77")) == (True, False)
    assert (has({"store": "12", "till": "1"}, "12"), has({"store": "12"}, "9")) == (True, False)


def test_given_two_scopes_of_one_value_when_told_apart_then_their_kinds_do_it() -> None:
    assert parse_scope(SHOPS, {"category": "A"}).identity != parse_scope(SHOPS, {"product": "A"}).identity
