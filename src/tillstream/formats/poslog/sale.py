"""A sale in a POSLog: the lines, tenders and totals of a `RetailTransaction` element."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

from tillstream.formats.canonical import amount, without_gaps
from tillstream.formats.poslog.discounts_and_taxes import (
    Line,
    Tax,
    Totals,
    discount_line,
    is_refund,
    is_voided,
    parse_amount,
    price_change,
    prices_include_tax,
    read_tax,
    reconcile,
)
from tillstream.formats.xml_records import child_text, element_text

_SALES = frozenset({"Sale", "SaleForDelivery", "SaleForPickup"})
_RETURNS = frozenset({"Return", "ReturnForDelivery", "ReturnForPickup"})
_GRAND, _GROSS, _TAX = "TransactionGrandAmount", "TransactionGrossAmount", "TransactionTaxAmount"
_PRICES = ("RegularSalesUnitPrice", "ActualSalesUnitPrice", "UnitPrice", "UnitListPrice")


class Sale:
    """The content of a `RetailTransaction` element. The caller must have removed the namespace from its tags.

    Raises `DecodeError` if an amount is invalid.
    """

    def __init__(self, retail: Element) -> None:
        self.lines: list[Line] = []
        self.settlements: list[dict[str, Any]] = []
        self.taxes: list[Tax] = []
        self.receipt_date_time = child_text(retail, "ReceiptDateTime")
        self.currency = child_text(retail, "CurrencyCode")
        self._totals: dict[str, Decimal] = {}
        self._prices_include_tax = prices_include_tax(retail)
        for child in retail:
            if child.tag == "LineItem" and not is_voided(child):
                self._add_line_item(child)
            elif child.tag == "Total":
                self._add_total(child)

    @property
    def totals(self) -> Totals:
        gross = self._totals.get(_GRAND, self._totals.get(_GROSS))
        return Totals(gross, self._totals.get(_TAX), self._prices_include_tax)

    def receipt_parts(self, minor_unit: Decimal) -> dict[str, Any]:
        """Return the lines, totals and settlements of the canonical receipt.

        The result is empty if the sale has neither lines nor a total.
        """
        totals = self.totals
        if totals.gross is None and not self.lines:
            return {}
        lines, total = reconcile(self.lines, totals, self.taxes, minor_unit)
        return {"lines": lines, "documentTotal": total, "settlements": self.settlements}

    def _add_line_item(self, item: Element) -> None:
        line = None
        for child in item:
            if is_voided(child):
                continue
            if child.tag in _SALES or child.tag in _RETURNS:
                line = self._item(child)
            elif child.tag in ("Discount", "LoyaltyReward"):
                line = discount_line(child)
            elif child.tag == "Tax":
                self.taxes.append(read_tax(child))
            elif child.tag == "Tender":
                self._add_tender(child)
            elif child.tag == "TenderChange":
                self._add_change(child, "")
        if line is not None:
            if line_number := child_text(item, "SequenceNumber"):
                line.fields["lineNumber"] = line_number
            self.lines.append(line)

    def _item(self, item: Element) -> Line | None:
        """Read a sold or returned item. Return None for an item without an amount, such as a comment."""
        prices = (found for name in _PRICES if (found := item.find(name)) is not None)
        price = element_text(next(prices, None))
        extended = child_text(item, "ExtendedAmount")
        quantity_element = item.find("Quantity")
        quantity = _quantity(quantity_element, price, extended)
        if extended:
            value = parse_amount("ExtendedAmount", extended)
        elif price:
            value = parse_amount("UnitPrice", price) * parse_amount("Quantity", quantity or "1")
        else:
            return None
        count = amount(quantity) if quantity else None
        if item.tag in _RETURNS:
            value = -abs(value)
            count = -abs(count) if isinstance(count, Decimal) else count
        elif isinstance(count, Decimal) and count < 0 < value:
            value = -value
        fields = _description(item) | {
            "quantity": count,
            "unitPrice": amount(price),
            "unitOfMeasure": quantity_element.get("UnitOfMeasureCode") if quantity_element is not None else None,
        }
        line = Line(without_gaps(fields), value, taxable=item.get("TaxableFlag", "").lower() not in ("false", "0"))
        sign = -1 if value < 0 else 1
        taxes = [read_tax(child) for child in item.findall("Tax")]
        line.tax = sign * abs(sum((each.amount for each in taxes), Decimal(0)))
        rates = [each.percent for each in taxes if each.percent is not None]
        if rates:
            line.fields["taxPercentage"] = sum(rates)
        line.price_change = sign * price_change(item)
        return line

    def _add_tender(self, tender: Element) -> None:
        kind = tender.get("TenderType") or child_text(tender, "TenderID")
        value = parse_amount("Tender", child_text(tender, "Amount") or "0")
        self._settle(kind, -abs(value) if is_refund(tender) or kind.lower() == "change" else value)
        for change in tender.findall("TenderChange"):
            self._add_change(change, kind)

    def _add_change(self, change: Element, kind: str) -> None:
        """Add a negative payment for each amount of change that the customer gets back.

        A `TenderChange` element may contain other `TenderChange` elements.
        """
        for each in change.iter("TenderChange"):
            kind = each.get("TenderType") or kind
            for returned in each.findall("Amount"):
                self._settle(kind, -abs(parse_amount("TenderChange", element_text(returned) or "0")))

    def _settle(self, kind: str, value: Decimal) -> None:
        self.settlements.append(without_gaps({"paymentMechanism": kind, "settlementAmount": value}))

    def _add_total(self, total: Element) -> None:
        kind = total.get("TotalType", "")
        if kind not in (_GRAND, _GROSS, _TAX) or kind in self._totals:
            return
        value = parse_amount(kind, element_text(total))
        self._totals[kind] = -abs(value) if is_refund(total) else value
        if kind == _GRAND:
            self.currency = self.currency or total.get("CurrencyCode") or total.get("Currency") or ""


def _description(item: Element) -> dict[str, Any]:
    code = child_text(item, "ItemID") or child_text(item, "POSIdentity/POSItemID")
    fields = {"productCode": code, "productDescription": child_text(item, "Description")}
    hierarchy = item.find("MerchandiseHierarchy")
    if hierarchy is not None:
        fields["productCategoryCode"] = category = element_text(hierarchy)
        # Tills made by NCR write the name of the department in an attribute with NCR's own namespace.
        names = (value for name, value in hierarchy.items() if name.endswith("}DepartmentDescription"))
        fields["productCategoryName"] = next(names, category)
    return fields


def _quantity(element: Element | None, price: str, extended: str) -> str:
    """Return the quantity to which the price applies: the text of the element or its attribute `Units`.

    If both are given and differ, as for a weighed item, return the one that fits the price and the amount better.
    """
    if element is None:
        return ""
    count, units = element_text(element), element.get("Units", "").strip()
    if not count or not units or count == units:
        return count or units
    numbers = [abs(each) for each in map(amount, (count, units, price, extended)) if isinstance(each, Decimal)]
    if len(numbers) < 4:
        return count
    counted, measured, unit_price, total = numbers
    return units if abs(measured * unit_price - total) < abs(counted * unit_price - total) else count
