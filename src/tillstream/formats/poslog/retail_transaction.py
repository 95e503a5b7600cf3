"""The RetailTransaction of a POSLog: its lines, tenders, taxes and totals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

from tillstream.formats.canonical import amount, without_gaps
from tillstream.formats.poslog.totals import ZERO, Line, ReceiptTax, Totals, reconcile
from tillstream.formats.xml_stream.records import element_text
from tillstream.receipt.amounts import AMOUNT_LIMIT

_HEADER = (
    "RetailStoreID BusinessUnit UnitID WorkstationID SequenceNumber TransactionID BusinessDayDate OperatorID "
    "CurrencyCode ReceiptDateTime EndDateTime POSLogDateTime BeginDateTime RetailTransaction"
)
_ITEM = (
    "ItemID POSIdentity POSItemID Description MerchandiseHierarchy Quantity RegularSalesUnitPrice "
    "ActualSalesUnitPrice UnitPrice UnitListPrice ExtendedAmount ExtendedDiscountAmount RetailPriceModifier "
    "TaxIncludedInPriceFlag"
)
_OTHERS = (
    "LineItem Total Tender TenderChange TenderID Tax Amount Percent TaxableAmount Discount LoyaltyReward PromotionID"
)
_SALES = frozenset({"Sale", "SaleForDelivery", "SaleForPickup"})
_RETURNS = frozenset({"Return", "ReturnForDelivery", "ReturnForPickup"})
_LINES = frozenset({*_SALES, *_RETURNS, "Discount", "LoyaltyReward"})
STANDARD_NAMES = frozenset([*_HEADER.split(), *_ITEM.split(), *_OTHERS.split(), *_SALES, *_RETURNS])
"""The element names of the standard that the decoder reads."""

_GRAND, _GROSS, _TAX = "TransactionGrandAmount", "TransactionGrossAmount", "TransactionTaxAmount"
_PRICES = ("RegularSalesUnitPrice", "ActualSalesUnitPrice", "UnitPrice", "UnitListPrice")
_VOIDED = ("VoidFlag", "CancelFlag", "DeleteFlag")
_TRUE = frozenset({"true", "1"})
_REFUNDS = frozenset({"refund", "return", "change"})


class BadAmount(Exception):
    """An amount that the totals need is not a number, or is out of range."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


class RetailTransaction:
    """The content of a `RetailTransaction` element. Raises `BadAmount`.

    `names` maps tags to the standard's names. All other tags are extensions of a vendor.
    """

    def __init__(self, retail: Element, names: Mapping[str, str]) -> None:
        self._names = names
        self.lines: list[Line] = []
        self.settlements: list[dict[str, Any]] = []
        self.taxes: list[ReceiptTax] = []
        self.receipt_date_time = ""
        self.currency = ""
        self._totals: dict[str, Decimal] = {}
        self._included = False
        for child in retail:
            name = names.get(child.tag)
            if name == "LineItem":
                self._line_item(child)
            elif name == "Total":
                self._total(child)
            elif name == "ReceiptDateTime":
                self.receipt_date_time = element_text(child)
            elif name == "CurrencyCode":
                self.currency = element_text(child)

    @property
    def totals(self) -> Totals:
        gross = self._totals.get(_GRAND, self._totals.get(_GROSS))
        return Totals(gross, self._totals.get(_TAX), self._included)

    def receipt_parts(self, minor_unit: Decimal) -> dict[str, Any]:
        """Lines, totals and settlements of the canonical receipt. Empty if the transaction has neither."""
        totals = self.totals
        if totals.gross is None and not self.lines:
            return {}
        lines, total = reconcile(self.lines, totals, self.taxes, minor_unit)
        return {"lines": lines, "documentTotal": total, "settlements": self.settlements}

    def _line_item(self, item: Element) -> None:
        if item.attrib and _is_voided(item):
            return
        number, line = "", None
        for child in item:
            name = self._names.get(child.tag)
            if name is None or (child.attrib and _is_voided(child)):
                continue
            if name == "SequenceNumber":
                number = element_text(child)
            elif name in _LINES:
                line = self._line(name, child)
            elif name == "Tender":
                self._tender(child)
            elif name == "TenderChange":
                self._change(child, "")
            elif name == "Tax":
                self.taxes.append(self._tax(child))
        if line is not None:
            if number:
                line.fields["lineNumber"] = number
            self.lines.append(line)

    def _line(self, name: str, child: Element) -> Line | None:
        if name == "LoyaltyReward":
            return self._reward(child)
        return self._discount(child) if name == "Discount" else self._item(child, returned=name in _RETURNS)

    def _children(self, element: Element) -> dict[str, Element]:
        """The first child for each standard name."""
        names = self._names
        return {names[child.tag]: child for child in element[::-1] if child.tag in names}

    # -- lines

    def _item(self, item: Element, returned: bool) -> Line | None:
        """A sold or returned item. None if it has no amount, because then it only describes another line."""
        children = self._children(item)
        price = next((element_text(children[name]) for name in _PRICES if name in children), "")
        extended = element_text(children.get("ExtendedAmount"))
        quantity = self._quantity(children.get("Quantity"), price, extended)
        if extended:
            value = _number("ExtendedAmount", extended)
        elif price:
            value = _number("UnitPrice", price) * _number("Quantity", quantity or "1")
        else:
            return None
        count = amount(quantity) if quantity else None
        if returned:
            value = -abs(value)
            count = -abs(count) if isinstance(count, Decimal) else count
        elif isinstance(count, Decimal) and count < 0 < value:
            value = -value
        fields = self._description(children) | {"quantity": count, "unitPrice": amount(price)}
        fields["unitOfMeasure"] = children["Quantity"].get("UnitOfMeasureCode") if "Quantity" in children else None
        line = Line(without_gaps(fields), value, taxable=item.get("TaxableFlag", "").lower() not in ("false", "0"))
        self._add_tax(item, line, children)
        self._add_price_change(item, line, children)
        return line

    def _description(self, children: Mapping[str, Element]) -> dict[str, Any]:
        code = element_text(children.get("ItemID"))
        if not code and "POSIdentity" in children:
            code = element_text(self._children(children["POSIdentity"]).get("POSItemID"))
        fields = {"productCode": code, "productDescription": element_text(children.get("Description"))}
        if "MerchandiseHierarchy" in children:
            hierarchy = children["MerchandiseHierarchy"]
            fields["productCategoryCode"] = category = element_text(hierarchy)
            # NCR writes the name of the department in an attribute of its children namespace.
            named = (value for name, value in hierarchy.attrib.items() if name.endswith("}DepartmentDescription"))
            fields["productCategoryName"] = next(named, category)
        return fields

    @staticmethod
    def _quantity(element: Element | None, price: str, extended: str) -> str:
        """The quantity that the price refers to. For weighed items, it may be the attribute `Units`."""
        if element is None:
            return ""
        count, units = element_text(element), element.get("Units", "").strip()
        if not count or not units or count == units:
            return count or units
        numbers = [abs(each) for each in map(amount, (count, units, price, extended)) if isinstance(each, Decimal)]
        if len(numbers) < 4:
            return count
        counted, measured, unit_price, whole = numbers
        return units if abs(measured * unit_price - whole) < abs(counted * unit_price - whole) else count

    def _add_tax(self, item: Element, line: Line, children: Mapping[str, Element]) -> None:
        """Add the taxes of the line itself."""
        sign = -1 if line.amount < 0 else 1
        if "Tax" in children:
            taxes = [self._tax(child) for child in item if self._names.get(child.tag) == "Tax"]
            line.tax = sign * abs(sum((tax.amount for tax in taxes), ZERO))
            rates = [tax.percent for tax in taxes if tax.percent is not None]
            if rates:
                line.fields["taxPercentage"] = sum(rates, ZERO)
        if "TaxIncludedInPriceFlag" in children:
            self._included = self._included or element_text(children["TaxIncludedInPriceFlag"]).lower() in _TRUE

    def _add_price_change(self, item: Element, line: Line, children: Mapping[str, Element]) -> None:
        """Add the discount or surcharge that is given beside the amount of the line."""
        sign = -1 if line.amount < 0 else 1
        taken = _number("ExtendedDiscountAmount", element_text(children.get("ExtendedDiscountAmount")) or "0")
        if not taken and "RetailPriceModifier" in children:
            modifiers = (child for child in item if self._names.get(child.tag) == "RetailPriceModifier")
            taken = sum((self._discount_amount(each) for each in modifiers if not _is_voided(each)), ZERO)
        line.price_change = -sign * abs(taken) if taken > 0 or "RetailPriceModifier" not in children else -sign * taken

    def _discount_amount(self, modifier: Element) -> Decimal:
        """The amount that a price modifier takes off. Negative for a surcharge."""
        found = self._children(modifier).get("Amount")
        action = found.get("Action", "").lower() if found is not None else ""
        if found is None or action == "replace":
            return ZERO
        value = abs(_number("RetailPriceModifier", element_text(found) or "0"))
        return -value if action == "add" else value

    def _discount(self, discount: Element) -> Line | None:
        taken = self._discount_amount(discount)
        return Line({"productDescription": "Discount", "quantity": ZERO}, -taken, is_discount=True) if taken else None

    def _reward(self, reward: Element) -> Line | None:
        """A reward in money. Summaries of other rewards, points and messages are left out.

        Only NCR's extension distinguishes them; most rewards in real logs have it.
        """
        members = {child.tag.rpartition("}")[2]: element_text(child) for child in reward[::-1]}
        flags = {name.rpartition("}")[2]: value for name, value in reward.attrib.items()}
        if flags.get("summarizedActivity", "").lower() in _TRUE:
            return None
        if members.get("RewardCategory", "Monetary") != "Monetary":
            return None
        if "ExtendedRewardAmount" in members:
            if "RewardCategory" not in members:
                return None
            value = _number("ExtendedRewardAmount", members["ExtendedRewardAmount"] or "0")
        else:
            value = -self._discount_amount(reward)
        promotion = f"Promotion {members['PromotionID']}" if members.get("PromotionID") else "Reward"
        return Line({"productDescription": promotion, "quantity": ZERO}, value, is_discount=True) if value else None

    # -- taxes, tenders, totals

    def _tax(self, tax: Element) -> ReceiptTax:
        children = self._children(tax)
        value = _number("Tax", element_text(children.get("Amount")) or "0")
        if tax.get("TypeCode", "").lower() in _REFUNDS:
            value = -abs(value)
        percent, base = element_text(children.get("Percent")), children.get("TaxableAmount")
        if base is not None and base.get("TaxIncludedInTaxableAmountFlag", "").lower() in _TRUE:
            self._included = True
        return ReceiptTax(
            value,
            _number("Percent", percent) if percent else None,
            _number("TaxableAmount", element_text(base)) if element_text(base) else None,
        )

    def _tender(self, tender: Element) -> None:
        children = self._children(tender)
        kind = tender.get("TenderType") or element_text(children.get("TenderID"))
        value = _number("Tender", element_text(children.get("Amount")) or "0")
        if tender.get("TypeCode", "").lower() in _REFUNDS or kind.lower() == "change":
            value = -abs(value)
        self._settle(kind, value)
        for child in tender:
            if self._names.get(child.tag) == "TenderChange":
                self._change(child, kind)

    def _change(self, change: Element, kind: str) -> None:
        kind = change.get("TenderType") or kind
        for child in change:
            name = self._names.get(child.tag)
            if name == "Amount":
                self._settle(kind, -abs(_number("TenderChange", element_text(child) or "0")))
            elif name == "TenderChange":
                self._change(child, kind)

    def _settle(self, kind: str, value: Decimal) -> None:
        self.settlements.append(without_gaps({"paymentMechanism": kind, "settlementAmount": value}))

    def _total(self, total: Element) -> None:
        kind = total.get("TotalType", "")
        if kind not in (_GRAND, _GROSS, _TAX) or kind in self._totals:
            return
        value = _number(kind, element_text(total))
        self._totals[kind] = -abs(value) if total.get("TypeCode", "").lower() in _REFUNDS else value
        if kind == _GRAND:
            self.currency = self.currency or total.get("CurrencyCode") or total.get("Currency") or ""


def _is_voided(element: Element) -> bool:
    return any(element.get(name, "").strip().lower() in _TRUE for name in _VOIDED)


def _number(name: str, text: str) -> Decimal:
    """Raises `BadAmount`."""
    value = amount(text)
    if isinstance(value, Decimal) and abs(value) < AMOUNT_LIMIT:
        return value
    raise BadAmount(name, text)
