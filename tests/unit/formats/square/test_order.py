"""Orders are parsed, and become receipts whose lines, totals and payments add up. Faults have their paths."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.receipts import NOON_US
from tests.support.square_orders import EXCHANGE, SPLIT, TABLE, encoded, item, money, order
from tillstream.config.settings import Settings
from tillstream.formats.base import DecodeError
from tillstream.formats.square.order import Order, convert, read
from tillstream.receipt.validation import ReceiptError, Validator

SHARED = Path(__file__).parents[4].parent / "shared" / "formats" / "square"
PARIS = Settings()


def made(of: dict[str, Any], settings: Settings = PARIS) -> Any:
    """The receipt, which validation takes too; amounts as decimals."""
    body = convert(read(encoded(of)[0]), settings)
    Validator(settings).check(body, NOON_US, "square/http")
    return json.loads(body, parse_float=Decimal)


def faults(of: dict[str, Any], settings: Settings = PARIS) -> dict[str, str]:
    """What keeps the order from being a receipt, by its paths."""
    with pytest.raises(DecodeError) as caught:
        convert(read(encoded(of)[0]), settings)
    return {fault.path: fault.error for fault in caught.value.faults}


def column(of: Any, part: str, name: str) -> list[Any]:
    return [each.get(name) for each in of[part]]


def assert_adds_up(of: Any) -> None:
    """Lines to the total, net and tax to gross, payments to what was to be paid."""
    total = of["documentTotal"]
    assert sum(column(of, "lines", "settlementAmount")) == total["grossTotal"]
    assert sum(column(of, "lines", "creditAmount")) == total["netTotal"]
    assert total["netTotal"] + total["taxPayable"] == total["grossTotal"]
    assert sum(column(of, "settlements", "settlementAmount")) == total["grossTotal"]


def test_an_order_becomes_a_receipt_in_local_time() -> None:
    assert made(order()) == {
        "cashReceiptID": "A1",
        "storeID": "L12",
        "date": "2026-11-23 10:15:00",
        "currency": "EUR",
        "lines": [
            {
                "lineNumber": 1,
                "productCode": "BAGUETTE",
                "productDescription": "Baguette",
                "quantity": 1,
                "unitPrice": Decimal("1.20"),
                "creditAmount": Decimal("1.14"),
                "taxPercentage": Decimal("5.5"),
                "settlementAmount": Decimal("1.20"),
            }
        ],
        "documentTotal": {
            "grossTotal": Decimal("1.20"),
            "netTotal": Decimal("1.14"),
            "taxPayable": Decimal("0.06"),
        },
        "settlements": [{"settlementAmount": Decimal("1.20"), "paymentMechanism": "CASH"}],
    }


def test_an_order_without_closing_time_has_its_creation_time() -> None:
    york = Settings(store_zones={"L12": "America/New_York"})
    assert made(order(closed_at=None), york)["date"] == "2026-11-23 03:50:00"


def test_a_tip_is_in_no_total_and_in_no_payment() -> None:
    split = made(SPLIT)
    assert split["documentTotal"]["grossTotal"] == Decimal("14.90")
    assert split["documentTotal"]["taxPayable"] == Decimal("1.26")
    assert [each["settlementAmount"] for each in split["settlements"]] == [Decimal("10.00"), Decimal("4.90")]
    assert column(split, "settlements", "paymentMechanism") == ["CARD", "CASH"]
    assert column(split, "lines", "taxPercentage") == [10, Decimal("5.5")]
    assert_adds_up(split)


def test_a_tip_of_the_whole_order_is_subtracted_from_the_payments_in_proportion() -> None:
    tenders = [{"type": name, "amount_money": money(each)} for name, each in (("CARD", 1_230), ("CASH", 410))]
    split = made(SPLIT | {"tenders": tenders})
    # 1.50 of 16.40, by shares of three and one, to the cent.
    assert column(split, "settlements", "settlementAmount") == [Decimal("11.17"), Decimal("3.73")]
    assert_adds_up(split)


def test_returns_are_negative_lines_and_refunds_negative_payments() -> None:
    exchange = made(EXCHANGE)
    assert column(exchange, "lines", "settlementAmount") == [Decimal("5.20"), Decimal("-7.00")]
    assert column(exchange, "lines", "creditAmount") == [Decimal("4.93"), Decimal("-6.36")]
    assert column(exchange, "lines", "quantity") == [1, -2]
    assert column(exchange, "lines", "unitPrice") == [Decimal("5.20"), Decimal("3.50")]
    assert column(exchange, "lines", "taxPercentage") == [Decimal("5.5"), 10]
    assert exchange["settlements"] == [{"settlementAmount": Decimal("-1.80"), "paymentMechanism": "REFUND"}]
    assert_adds_up(exchange)


def test_a_refund_has_the_mechanism_of_its_tender() -> None:
    refunds = [{"tender_id": "T1", "amount_money": money(120)}]
    assert column(made(order(refunds=refunds)), "settlements", "paymentMechanism") == ["CASH", "CASH"]


def test_a_refunded_tip_is_not_in_the_totals() -> None:
    tipped = made(
        EXCHANGE
        | {
            "return_amounts": {"total_money": money(800), "tax_money": money(64), "tip_money": money(100)},
            "net_amounts": {"total_money": money(-280), "tax_money": money(-37), "tip_money": money(-100)},
            "refunds": [{"status": "APPROVED", "amount_money": money(280)}],
        }
    )
    assert tipped["documentTotal"]["grossTotal"] == Decimal("-1.80")
    assert_adds_up(tipped)


def test_service_and_rounding_are_lines_and_an_apportioned_charge_is_not() -> None:
    table = made(TABLE)
    assert column(table, "lines", "productDescription") == ["Plat", "Service", "Arrondi"]
    assert column(table, "lines", "settlementAmount") == [Decimal("18.00"), Decimal("1.98"), Decimal("0.02")]
    assert column(table, "lines", "quantity") == [1, 0, 0]
    assert column(table, "lines", "taxPercentage") == [10, 10, None]
    assert_adds_up(table)


def test_the_total_of_a_line_includes_its_discount() -> None:
    discounted = item("Baguette", 108, 6, price=120) | {"total_discount_money": money(12)}
    cheap = made(
        order(
            line_items=[discounted],
            net_amounts={"total_money": money(108), "tax_money": money(6)},
            tenders=[{"type": "CASH", "amount_money": money(108)}],
        )
    )
    assert column(cheap, "lines", "unitPrice") == [Decimal("1.20")]
    assert column(cheap, "lines", "settlementAmount") == [Decimal("1.08")]
    assert_adds_up(cheap)


@pytest.mark.parametrize(("currency", "text"), [("JPY", "120"), ("TND", "0.120"), ("USD", "1.20")])
def test_minor_units_are_those_of_the_currency(currency: str, text: str) -> None:
    found = read(encoded(order())[0].replace(b"EUR", currency.encode()))
    body = convert(found, Settings(currency=currency))
    assert b'"grossTotal":%b,' % text.encode() in body
    with pytest.raises(ReceiptError) as refused:
        Validator(PARIS).check(body, NOON_US, "square/http")
    assert [fault.path for fault in refused.value.faults] == ["$.currency"]


def test_without_net_amounts_the_totals_are_sales_minus_returns() -> None:
    totals = {"total_money": money(670), "total_tax_money": money(27), "total_tip_money": money(150)}
    exchange = made(EXCHANGE | totals | {"net_amounts": None})
    assert exchange["documentTotal"] == {
        "grossTotal": Decimal("-1.80"),
        "netTotal": Decimal("-1.43"),
        "taxPayable": Decimal("-0.37"),
    }


def test_the_only_tax_of_an_order_applies_to_lines_without_taxes() -> None:
    untaxed = item("Baguette", 120, 6, taxes=())
    one, two = [{"uid": "a", "percentage": "5.5"}], [{"uid": "a", "percentage": "5"}, {"uid": "b", "percentage": "7"}]
    assert column(made(order(line_items=[untaxed], taxes=one)), "lines", "taxPercentage") == [Decimal("5.5")]
    assert column(made(order(line_items=[untaxed], taxes=two)), "lines", "taxPercentage") == [None]
    both = item("Baguette", 120, 6, taxes=("a", "b"))
    assert column(made(order(line_items=[both], taxes=two)), "lines", "taxPercentage") == [None]


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ({"weight_unit": "METRIC_KILOGRAM", "type": "TYPE_WEIGHT"}, "kg"),
        ({"volume_unit": "IMPERIAL_PINT"}, "IMPERIAL_PINT"),
        ({"custom_unit": {"name": "Tray", "abbreviation": "tr"}}, "tr"),
        ({}, None),
        (None, None),
    ],
)
def test_a_measured_quantity_has_its_unit(unit: Any, name: str | None) -> None:
    weighed = item("Pommes", 120, 6, quantity="0.425") | {"quantity_unit": {"measurement_unit": unit, "precision": 3}}
    (line,) = made(order(line_items=[weighed]))["lines"]
    assert (line["quantity"], line.get("unitOfMeasure")) == (Decimal("0.425"), name)


def test_an_item_has_its_variation_and_a_nameless_item_its_type() -> None:
    large = item("Latte", 60, 3) | {"variation_name": "Large"}
    typed = item("", 60, 3) | {"item_type": "CUSTOM_AMOUNT", "catalog_object_id": None}
    named = made(order(line_items=[large, typed]))
    assert column(named, "lines", "productDescription") == ["Latte, Large", "CUSTOM_AMOUNT"]


def test_all_missing_parts_are_reported() -> None:
    bare = {"state": "COMPLETED"}
    assert set(faults(bare)) == {"$.id", "$.location_id", "$.closed_at", "$.net_amounts.total_money"}


@pytest.mark.parametrize(
    ("fields", "path", "error"),
    [
        ({"id": "x" * 129}, "$.id", "it has 129 characters, more than 128"),
        ({"location_id": "a\tb"}, "$.location_id", "it has a control character"),
        ({"closed_at": "1969-12-31T23:59:59Z"}, "$.closed_at", "expected a year from 1971 to 9997"),
        (
            {"closed_at": None, "created_at": "9999-12-31T23:59:59Z"},
            "$.created_at",
            "expected a year from 1971 to 9997",
        ),
        (
            {"line_items": [item("a", 1, 0), item("b", 119, 6, quantity="two")]},
            "$.line_items[1].quantity",
            'expected a number between -10^13 and 10^13, got "two"',
        ),
        (
            {"taxes": [{"uid": "bread", "percentage": "5,5"}]},
            "$.taxes[0].percentage",
            'expected a number between -10^13 and 10^13, got "5,5"',
        ),
        (
            {"tenders": [{"type": "CASH", "amount_money": money(120, "USD")}]},
            "$.tenders[0].amount_money.currency",
            'expected EUR, got "USD"',
        ),
    ],
)
def test_a_fault_has_its_path_in_the_order(fields: dict[str, Any], path: str, error: str) -> None:
    assert faults(order(**fields)) == {path: error}


def test_an_amount_without_currency_is_in_the_currency_of_the_chain() -> None:
    amounts = {"total_money": money(120, None), "tax_money": {"amount": 6}}
    assert made(order(net_amounts=amounts))["currency"] == "EUR"


def read_faults(of: bytes) -> dict[str, str]:
    try:
        found = read(of)
    except (DecodeError, ReceiptError) as error:
        return {fault.path: fault.error for fault in error.faults}
    raise AssertionError(found)


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
    assert read_faults(encoded(wrong)[0]) == {
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
    assert read_faults(value.encode()).keys() == {"$"}


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
    (fault,) = read_faults(body).values()
    assert fault.startswith(error)


def test_a_number_of_thousands_of_digits_is_a_fault() -> None:
    body = b'{"net_amounts": {"total_money": {"amount": ' + b"9" * 5_000 + b"}}}"
    assert read_faults(body)["$.net_amounts.total_money.amount"].startswith("expected a whole number, got 999")


def test_a_quantity_that_is_too_long_is_a_fault() -> None:
    assert "`$.line_items[0].quantity`" in read_faults(b'{"line_items": [{"quantity": "%b"}]}' % (b"1" * 50))["$"]


def test_only_an_order_of_the_cash_drawer_moves_nothing() -> None:
    def moves_nothing(**fields: Any) -> bool:
        return read(encoded(order(line_items=None, **fields))[0]).moves_nothing

    assert moves_nothing(tenders=[{"type": "NO_SALE"}])
    assert not moves_nothing(tenders=[{"type": "NO_SALE"}, {"type": "CASH"}])
    assert not moves_nothing(tenders=[{"type": "NO_SALE"}], returns=[{}])
    assert not moves_nothing(tenders=None)


@pytest.mark.skipif(not SHARED.exists(), reason="the published schema is not here")
def test_every_field_that_is_read_is_in_the_published_schema() -> None:
    schema = json.loads((SHARED / "order-schema.json").read_text())
    assert set(Order.__struct_fields__) <= schema["Order"]["properties"].keys()
