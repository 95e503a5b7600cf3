"""An order is parsed, or all its faults are reported with their paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.square_orders import encoded, order
from tillstream.formats.square.order import Order, read

SHARED = Path(__file__).parents[4].parent / "shared" / "formats" / "square"


def told(of: bytes) -> dict[str, str]:
    found = read(of)
    assert isinstance(found, list)
    return {fault.path: fault.error for fault in found}


def test_all_wrong_types_are_reported_at_once() -> None:
    wrong = order(
        id=7,
        closed_at="yesterday",
        created_at="2026-11-23T08:50:00",
        line_items=[{"quantity": 1, "total_money": {"amount": "120"}}, 3],
        tenders={},
        net_amounts={"total_money": {"amount": 1.5}, "tax_money": {"amount": True}, "tip_money": {"amount": 10**13}},
        unknown={"fields": ["are", "not", "looked", "at"]},
    )
    assert told(encoded(wrong)[0]) == {
        "$.id": "expected a text, got 7",
        "$.closed_at": 'expected a time with its zone, got "yesterday"',
        "$.created_at": 'expected a time with its zone, got "2026-11-23T08:50:00"',
        "$.line_items[0].quantity": "expected a text, got 1",
        "$.line_items[0].total_money.amount": 'expected a whole number, got "120"',
        "$.line_items[1]": "expected an object, got 3",
        "$.tenders": "expected an array, got an object",
        "$.net_amounts.total_money.amount": "expected a whole number, got 1.5",
        "$.net_amounts.tax_money.amount": "expected a whole number, got true",
        "$.net_amounts.tip_money.amount": "expected a number between -10^13 and 10^13, got 10000000000000",
    }


@pytest.mark.parametrize("value", ["null", "[]", "7", '"text"'])
def test_an_order_that_is_not_an_object_is_a_fault(value: str) -> None:
    assert told(value.encode()).keys() == {"$"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"id": "\xff"}', "byte 8 is not UTF-8"),
        (b'{"x": ' + b"[" * 100_000, "it is nested too deeply"),
        (b'{"id": "\\ud800"}', "not JSON: "),
        (b'{"id": ', "not JSON: "),
        (b"", "it is empty"),
    ],
)
def test_an_order_that_is_not_json_is_a_fault(body: bytes, error: str) -> None:
    (fault,) = told(body).values()
    assert fault.startswith(error)


def test_a_number_of_thousands_of_digits_is_a_fault() -> None:
    body = b'{"net_amounts": {"total_money": {"amount": ' + b"9" * 5_000 + b"}}}"
    assert told(body)["$.net_amounts.total_money.amount"].startswith("expected a whole number, got 999")


def test_a_quantity_that_is_too_long_is_a_fault() -> None:
    assert "`$.line_items[0].quantity`" in told(b'{"line_items": [{"quantity": "%b"}]}' % (b"1" * 50))["$"]


def test_only_an_order_of_the_cash_drawer_moves_nothing() -> None:
    def moves_nothing(**fields: Any) -> bool:
        found = read(encoded(order(line_items=None, **fields))[0])
        assert isinstance(found, Order)
        return found.moves_nothing

    assert moves_nothing(tenders=[{"type": "NO_SALE"}])
    assert not moves_nothing(tenders=[{"type": "NO_SALE"}, {"type": "CASH"}])
    assert not moves_nothing(tenders=[{"type": "NO_SALE"}], returns=[{}])
    assert not moves_nothing(tenders=None)


@pytest.mark.skipif(not SHARED.exists(), reason="the published schema is not here")
def test_every_field_that_is_read_is_in_the_published_schema() -> None:
    schema = json.loads((SHARED / "order-schema.json").read_text())
    assert set(Order.__struct_fields__) <= schema["Order"]["properties"].keys()
