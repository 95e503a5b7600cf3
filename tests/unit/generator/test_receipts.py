"""Receipts add up and look like the receipts of real tills."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from random import Random

import pytest

from tests.support.decimal_receipts import parse_receipt
from tillstream.generator.chain import Till
from tillstream.generator.products import CROISSANT, PRODUCTS, TRADITIONAL
from tillstream.generator.receipts import (
    Basket,
    Line,
    assemble,
    encode_basket,
    encode_till,
    format_amount,
    format_with_noise,
    net_amount,
    net_price,
)

TILL = Till(store="7", terminal="2", agent="72", size=1.0, city=False)


@pytest.mark.parametrize(
    ("cents", "text"),
    [(596, "5.96"), (30, "0.3"), (200, "2.0"), (5, "0.05"), (0, "0.0"), (-130, "-1.3"), (-5, "-0.05")],
)
def test_amounts_are_written_as_tills_write_them(cents: int, text: str) -> None:
    assert format_amount(cents) == text


def test_float_noise_occurs_and_is_far_below_a_cent() -> None:
    for cents in range(-1000, 1000):
        assert abs(Decimal(format_with_noise(cents)) - Decimal(cents) / 100) < Decimal("1e-12")
    assert format_with_noise(337) == "3.3700000000000003"


@pytest.mark.parametrize(
    ("price", "rate", "text"), [(130, 55, "1.2322"), (0, 55, "0.0"), (110, 100, "1.0"), (850, 100, "7.7273")]
)
def test_a_unit_price_is_without_vat_to_four_decimals(price: int, rate: int, text: str) -> None:
    assert net_price(price, rate) == text


@pytest.mark.parametrize("rate", [55, 100, 200])
@pytest.mark.parametrize("gross", [0, 1, 15, 125, 335, 850, 12345, -125, -850])
def test_a_net_amount_is_the_gross_without_its_vat_rounded_half_away_from_zero(gross: int, rate: int) -> None:
    exact = Decimal(gross) * 1000 / (1000 + rate)

    assert net_amount(gross, rate) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def test_an_assembled_receipt_has_the_canonical_shape() -> None:
    basket = Basket((Line(CROISSANT, 2, 100, 240, 218),), (("CB", 240),))

    receipt = parse_receipt(
        assemble(b"X-1", encode_till(TILL), b"5", b"2026-03-02 08:00:00", encode_basket(basket, Random(1)))
    )

    assert receipt == {
        "cashReceiptID": "X-1",
        "storeID": "7",
        "terminalID": "2",
        "agentID": "72",
        "customerID": "5",
        "date": "2026-03-02 08:00:00",
        "lines": [
            {
                "unitOfMeasure": "piece",
                "settlementAmount": Decimal("2.4"),
                "creditAmount": Decimal("2.18"),
                "lineNumber": 1,
                "unitPrice": Decimal("1.0909"),
                "productCode": "00000020",
                "taxPercentage": 10,
                "productDescription": "Croissant",
                "productCategoryName": "Viennoiserie",
                "productCategoryCode": "4",
                "quantity": 2,
            }
        ],
        "documentTotal": {"grossTotal": Decimal("2.4"), "taxPayable": Decimal("0.22"), "netTotal": Decimal("2.18")},
        "settlements": [{"paymentMechanism": "CB", "settlementAmount": Decimal("2.4")}],
    }


def test_without_a_loyalty_card_there_is_no_customer() -> None:
    basket = Basket((Line(TRADITIONAL, 1, 55, 125, 118),), (("CB", 125),))

    receipt = parse_receipt(
        assemble(b"X-1", encode_till(TILL), b"", b"2026-03-02 08:00:00", encode_basket(basket, Random(1)))
    )

    assert "customerID" not in receipt


@pytest.mark.parametrize(("vat", "text"), [(55, "5.5"), (100, "10"), (200, "20")])
def test_a_vat_rate_is_written_in_percent(vat: int, text: str) -> None:
    basket = Basket((Line(CROISSANT, 1, vat, 120, 110),), (("CB", 120),))

    line = parse_receipt(b"{" + encode_basket(basket, Random(1)))["lines"][0]

    assert line["taxPercentage"] == Decimal(text)


@pytest.mark.parametrize(("grams", "quantity"), [(435, "0.435"), (-435, "-0.435"), (1200, "1.200")])
def test_a_weighed_quantity_is_in_kilograms(grams: int, quantity: str) -> None:
    weighed = next(product for product in PRODUCTS if product.weighed)
    basket = Basket((Line(weighed, grams, 55, 300, 284),), (("CB", 300),))

    line = parse_receipt(b"{" + encode_basket(basket, Random(1)))["lines"][0]

    assert (line["quantity"], line["unitOfMeasure"]) == (Decimal(quantity), "kg")
