"""Lines, tenders and totals of a RetailTransaction, in the dialects of tills."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from decimal import Decimal
from typing import Any

import pytest

from tillstream.formats.base import DecodeError
from tillstream.formats.poslog.sale import Sale

NCR = "xmlns:acs='http://www.ncr.com/rsd/acs/tlog/markup/poslog/2.1'"
CENT = Decimal("0.01")


def sale(*items: str, totals: str = "") -> Sale:
    inside = "".join(f"<LineItem>{item}</LineItem>" for item in items)
    return Sale(ET.fromstring(f"<RetailTransaction {NCR}>{inside}{totals}</RetailTransaction>"))


def line(item: str) -> dict[str, Any]:
    (found,) = sale(item).lines
    return {**found.fields, "amount": found.amount}


def numbers(**texts: str) -> dict[str, Decimal]:
    return {name: Decimal(value) for name, value in texts.items()}


def test_a_line_has_all_fields_of_its_item() -> None:
    found = line(
        "<SequenceNumber>3</SequenceNumber><Sale><POSIdentity><POSItemID>9</POSItemID></POSIdentity><ItemID>102</ItemID>"
        "<MerchandiseHierarchy Level='Department' acs:DepartmentDescription='Bread'>6</MerchandiseHierarchy>"
        "<Description>Baguette</Description><Description TypeCode='Long'>A long baguette</Description>"
        "<RegularSalesUnitPrice>1.14</RegularSalesUnitPrice><ActualSalesUnitPrice>1.00</ActualSalesUnitPrice>"
        "<ExtendedAmount>2.28</ExtendedAmount><Quantity UnitOfMeasureCode='EA'>2</Quantity>"
        "<Tax><Amount>0.12</Amount><Percent>5.5</Percent></Tax></Sale>"
    )
    assert found == {
        "lineNumber": "3",
        "productCode": "102",
        "productDescription": "Baguette",
        "productCategoryCode": "6",
        "productCategoryName": "Bread",
        "unitOfMeasure": "EA",
        **numbers(quantity="2", unitPrice="1.14", taxPercentage="5.5", amount="2.28"),
    }


def test_the_line_number_may_follow_the_item() -> None:
    assert (
        line("<Sale><ExtendedAmount>1</ExtendedAmount></Sale><SequenceNumber>4</SequenceNumber>")["lineNumber"] == "4"
    )


def test_missing_fields_are_left_out_or_computed() -> None:
    assert line("<Sale><ExtendedAmount>1.00</ExtendedAmount></Sale>") == numbers(amount="1.00")
    found = line(
        "<Sale><POSIdentity><POSItemID>9</POSItemID></POSIdentity><UnitPrice>1.50</UnitPrice><Quantity>3</Quantity></Sale>"
    )
    assert found == {"productCode": "9", **numbers(unitPrice="1.50", quantity="3", amount="4.50")}
    assert sale("<Sale><ItemID>1</ItemID></Sale>").lines == []


@pytest.mark.parametrize(
    ("quantity", "count"),
    [
        ("<Quantity>0.42</Quantity>", "0.42"),
        ("<Quantity Units='0.42'/>", "0.42"),
        ("<Quantity Units='1'>1</Quantity>", "1"),
        ("<Quantity Units='0.42' UnitOfMeasureCode='KGM'>1</Quantity>", "0.42"),
        ("<Quantity Units='6' UnitOfMeasureCode='EA'>1</Quantity>", "1"),
        ("<Quantity>0.42</Quantity><Quantity UnitOfMeasureCode='EA'>1</Quantity>", "0.42"),
    ],
)
def test_the_quantity_is_the_one_that_the_price_refers_to(quantity: str, count: str) -> None:
    price = "<RegularSalesUnitPrice>3.00</RegularSalesUnitPrice>"
    amount = f"<ExtendedAmount>{Decimal(count) * 3}</ExtendedAmount>"
    assert line(f"<Sale>{price}{amount}{quantity}</Sale>")["quantity"] == Decimal(count)


@pytest.mark.parametrize("amount", ["1.29", "-1.29"])
@pytest.mark.parametrize("quantity", ["2", "-2"])
def test_a_return_is_negative_with_any_sign(amount: str, quantity: str) -> None:
    inside = f"<ExtendedAmount>{amount}</ExtendedAmount><Quantity>{quantity}</Quantity>"
    assert line(f"<Return>{inside}</Return>") == numbers(quantity="-2", amount="-1.29")


def test_a_sale_of_a_negative_quantity_is_a_return_too() -> None:
    found = line("<Sale><ExtendedAmount>1.29</ExtendedAmount><Quantity>-1.0000</Quantity></Sale>")
    assert found == numbers(quantity="-1.0000", amount="-1.29")


@pytest.mark.parametrize(
    "item",
    [
        "<Sale VoidFlag='true'><ExtendedAmount>1</ExtendedAmount></Sale>",
        "<Tender VoidFlag='1'><Amount>1</Amount></Tender>",
        "<Tax VoidFlag='true'><Amount>1</Amount></Tax>",
        "<acs:CRMCustomVariable><acs:Sale/></acs:CRMCustomVariable>",
        "<acs:LoyaltyMembership/>",
        "<PaymentOnAccount><Amount>1</Amount></PaymentOnAccount>",
    ],
)
def test_voided_elements_and_vendor_extensions_are_ignored(item: str) -> None:
    found = sale(item)
    assert (found.lines, found.settlements, found.taxes) == ([], [], [])


@pytest.mark.parametrize("flag", ["VoidFlag='true'", "CancelFlag='true'", "DeleteFlag='1'"])
def test_a_voided_line_is_ignored(flag: str) -> None:
    retail = f"<RetailTransaction><LineItem {flag}><Sale><ExtendedAmount>1</ExtendedAmount></Sale></LineItem></RetailTransaction>"
    assert Sale(ET.fromstring(retail)).lines == []


def reward(amount: str, category: str = "Monetary", attributes: str = "") -> str:
    return (
        f"<LoyaltyReward acs:detailedData='true' {attributes}><PromotionID>5123</PromotionID>"
        f"<acs:RewardCategory>{category}</acs:RewardCategory>"
        f"<acs:ExtendedRewardAmount>{amount}</acs:ExtendedRewardAmount></LoyaltyReward>"
    )


def test_a_reward_in_money_is_a_line_and_a_summary_is_not() -> None:
    found = sale(
        reward("-0.19"),
        reward("-0.19", attributes="acs:summarizedActivity='true'"),
        reward("0.00"),
        reward("1", "CustomOffer"),
    )
    (only,) = found.lines
    assert (only.fields["productDescription"], only.amount, only.is_discount) == (
        "Promotion 5123",
        Decimal("-0.19"),
        True,
    )
    assert only.fields["quantity"] == 0


def test_a_discount_line_is_negative() -> None:
    for written in ("1.72", "-1.72"):
        (found,) = sale(f"<Discount><Percentage>10</Percentage><Amount>{written}</Amount></Discount>").lines
        assert (found.amount, found.is_discount) == (Decimal("-1.72"), True)
    (raised,) = sale("<Discount><Amount Action='Add'>1</Amount></Discount>").lines
    assert raised.amount == 1


@pytest.mark.parametrize(
    ("inside", "taken"),
    [
        ("<ExtendedDiscountAmount>0.50</ExtendedDiscountAmount>", "-0.50"),
        ("<RetailPriceModifier><Amount Action='Subtract'>0.20</Amount></RetailPriceModifier>" * 2, "-0.40"),
        ("<RetailPriceModifier VoidFlag='true'><Amount>0.20</Amount></RetailPriceModifier>", "0"),
        ("<RetailPriceModifier><Amount Action='Replace'>0.20</Amount></RetailPriceModifier>", "0"),
        ("<RetailPriceModifier><Amount Action='Add'>0.20</Amount></RetailPriceModifier>", "0.20"),
        ("<ExtendedDiscountAmount>0</ExtendedDiscountAmount>", "0"),
    ],
)
def test_a_discount_beside_an_amount_is_a_price_change(inside: str, taken: str) -> None:
    (sold,) = sale(f"<Sale><ExtendedAmount>2</ExtendedAmount>{inside}</Sale>").lines
    (returned,) = sale(f"<Return><ExtendedAmount>2</ExtendedAmount>{inside}</Return>").lines
    assert (sold.price_change, returned.price_change) == (Decimal(taken), -Decimal(taken))


@pytest.mark.parametrize(
    ("tender", "settled"),
    [
        ("<Tender TenderType='Cash' TypeCode='Sale'><Amount Currency='EUR'>5.00</Amount></Tender>", [("Cash", "5.00")]),
        ("<Tender TenderType='Cash' TypeCode='Refund'><Amount>5.00</Amount></Tender>", [("Cash", "-5.00")]),
        ("<Tender TenderType='Cash' TypeCode='Refund'><Amount>-5.00</Amount></Tender>", [("Cash", "-5.00")]),
        ("<Tender TenderType='Change'><Amount>5.00</Amount></Tender>", [("Change", "-5.00")]),
        (
            "<Tender TenderType='Cash'><Amount>20.00</Amount><TenderChange><Amount>4.52</Amount></TenderChange></Tender>",
            [("Cash", "20.00"), ("Cash", "-4.52")],
        ),
        (
            "<TenderChange TypeCode='Refund'><TenderChange TenderType='Cash'><Amount>0.01</Amount></TenderChange></TenderChange>",
            [("Cash", "-0.01")],
        ),
        ("<Tender><TenderID>12</TenderID><Amount>1</Amount></Tender>", [("12", "1")]),
    ],
)
def test_tenders_become_settlements_and_refunds_and_change_are_negative(
    tender: str, settled: list[tuple[str, str]]
) -> None:
    expected = [{"paymentMechanism": kind, "settlementAmount": Decimal(amount)} for kind, amount in settled]
    assert sale(tender).settlements == expected


def test_totals_of_other_types_are_ignored() -> None:
    totals = (
        "<Total TotalType='acs:GrossPositive'>9</Total><Total TotalType='TransactionGrandAmount'>1.07</Total>"
        "<Total TotalType='TransactionTaxAmount'>0.07</Total><Total TotalType='TransactionGrandAmount'>8</Total><Total>7</Total>"
    )
    found = sale(totals=totals).totals
    assert (found.gross, found.tax) == (Decimal("1.07"), Decimal("0.07"))
    assert sale(totals="<Total TotalType='TransactionGrossAmount'>2</Total>").totals.gross == 2
    assert sale(totals="<Total TotalType='TransactionGrandAmount' TypeCode='Return'>2</Total>").totals.gross == -2
    assert sale().totals.gross is None


@pytest.mark.parametrize(
    "item",
    [
        "<Sale><ExtendedAmount>abc</ExtendedAmount></Sale>",
        "<Sale><UnitPrice>1</UnitPrice><Quantity>x</Quantity></Sale>",
        "<Tender><Amount>1e5</Amount></Tender>",
        "<Tax><Amount>NaN</Amount></Tax>",
        "<Sale><ExtendedAmount>10000000000000</ExtendedAmount></Sale>",
        reward("much"),
    ],
)
def test_an_invalid_or_excessive_amount_raises(item: str) -> None:
    with pytest.raises(DecodeError):
        sale(item)


def test_an_invalid_quantity_is_left_to_validation() -> None:
    assert line("<Sale><ExtendedAmount>1</ExtendedAmount><Quantity>some</Quantity></Sale>")["quantity"] == "some"


def test_the_parts_of_a_receipt_are_its_lines_totals_and_settlements() -> None:
    found = sale(
        "<Sale><ExtendedAmount>1.00</ExtendedAmount></Sale>",
        "<Tender TenderType='Cash'><Amount>1.00</Amount></Tender>",
        totals="<Total TotalType='TransactionGrandAmount'>1.00</Total>",
    ).receipt_parts(CENT)
    assert found == {
        "lines": [numbers(creditAmount="1.00", settlementAmount="1.00")],
        "documentTotal": numbers(grossTotal="1.00", netTotal="1.00", taxPayable="0"),
        "settlements": [{"paymentMechanism": "Cash", "settlementAmount": Decimal("1.00")}],
    }
    assert sale().receipt_parts(CENT) == {}
