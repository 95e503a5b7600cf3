"""What a POSLog's RetailTransaction says: its lines, its tenders, its taxes and its totals."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

from tillstream.formats.canonical import amount, without_gaps
from tillstream.formats.poslog_totals import ZERO, Line, ReceiptTax, Totals, balance
from tillstream.formats.xml_parts import content
from tillstream.receipt.model import AMOUNT_LIMIT

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
STANDARD = frozenset([*_HEADER.split(), *_ITEM.split(), *_OTHERS.split(), *_SALES, *_RETURNS])
"""The names of the standard that are read."""

_GRAND, _GROSS, _TAX = "TransactionGrandAmount", "TransactionGrossAmount", "TransactionTaxAmount"
_PRICES = ("RegularSalesUnitPrice", "ActualSalesUnitPrice", "UnitPrice", "UnitListPrice")
_VOIDED = ("VoidFlag", "CancelFlag", "DeleteFlag")
_TRUE = frozenset({"true", "1"})
_BACK = frozenset({"refund", "return", "change"})


class NoAmount(Exception):
    """An amount that the totals are made of is no number, or beyond all reason."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.name = name
        self.text = text


class Sale:
    """Reads a `RetailTransaction`. Raises `NoAmount`.

    `names` gives the standard's name of a tag; what it doesn't have is an extension of a vendor.
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
                self.receipt_date_time = content(child)
            elif name == "CurrencyCode":
                self.currency = content(child)

    @property
    def totals(self) -> Totals:
        gross = self._totals.get(_GRAND, self._totals.get(_GROSS))
        return Totals(gross, self._totals.get(_TAX), self._included)

    def parts(self, least: Decimal) -> dict[str, Any]:
        """Lines, totals and settlements of the canonical receipt; `least` is the currency's minor unit."""
        totals = self.totals
        if totals.gross is None and not self.lines:
            return {}
        lines, total = balance(self.lines, totals, self.taxes, least)
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
                number = content(child)
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
                line.told["lineNumber"] = number
            self.lines.append(line)

    def _line(self, name: str, child: Element) -> Line | None:
        if name == "LoyaltyReward":
            return self._reward(child)
        return self._discount(child) if name == "Discount" else self._item(child, back=name in _RETURNS)

    def _own(self, element: Element) -> dict[str, Element]:
        """The children by their standard names; of several with one name the first."""
        names = self._names
        return {names[child.tag]: child for child in element[::-1] if child.tag in names}

    # -- lines

    def _item(self, item: Element, back: bool) -> Line | None:
        """A sold or returned item; None where it has no amount: it only says more of another line."""
        own = self._own(item)
        price = next((content(own[name]) for name in _PRICES if name in own), "")
        extended = content(own.get("ExtendedAmount"))
        quantity = self._quantity(own.get("Quantity"), price, extended)
        if extended:
            value = _number("ExtendedAmount", extended)
        elif price:
            value = _number("UnitPrice", price) * _number("Quantity", quantity or "1")
        else:
            return None
        count = amount(quantity) if quantity else None
        if back:
            value = -abs(value)
            count = -abs(count) if isinstance(count, Decimal) else count
        elif isinstance(count, Decimal) and count < 0 < value:
            value = -value
        told = self._description(own) | {"quantity": count, "unitPrice": amount(price)}
        told["unitOfMeasure"] = own["Quantity"].get("UnitOfMeasureCode") if "Quantity" in own else None
        line = Line(without_gaps(told), value, taxable=item.get("TaxableFlag", "").lower() not in ("false", "0"))
        self._refine(item, line, own)
        return line

    def _description(self, own: Mapping[str, Element]) -> dict[str, Any]:
        code = content(own.get("ItemID"))
        if not code and "POSIdentity" in own:
            code = content(self._own(own["POSIdentity"]).get("POSItemID"))
        told = {"productCode": code, "productDescription": content(own.get("Description"))}
        if "MerchandiseHierarchy" in own:
            hierarchy = own["MerchandiseHierarchy"]
            told["productCategoryCode"] = category = content(hierarchy)
            # NCR has the department's name in an attribute of its own.
            named = (value for name, value in hierarchy.attrib.items() if name.endswith("}DepartmentDescription"))
            told["productCategoryName"] = next(named, category)
        return told

    @staticmethod
    def _quantity(found: Element | None, price: str, extended: str) -> str:
        """The quantity that the price is for: of something weighed it may stand in the attribute `Units`."""
        if found is None:
            return ""
        count, units = content(found), found.get("Units", "").strip()
        if not count or not units or count == units:
            return count or units
        numbers = [amount(each) for each in (count, units, price, extended)]
        each, measured, unit_price, whole = numbers
        if (
            isinstance(each, Decimal)
            and isinstance(measured, Decimal)
            and isinstance(unit_price, Decimal)
            and isinstance(whole, Decimal)
            and abs(abs(measured * unit_price) - abs(whole)) < abs(abs(each * unit_price) - abs(whole))
        ):
            return units
        return count

    def _refine(self, item: Element, line: Line, own: Mapping[str, Element]) -> None:
        """The line's own taxes, and what was taken off its price."""
        sign = -1 if line.amount < 0 else 1
        if "Tax" in own:
            taxes = [self._tax(child) for child in item if self._names.get(child.tag) == "Tax"]
            line.tax = sign * abs(sum((tax.amount for tax in taxes), ZERO))
            rates = [tax.percent for tax in taxes if tax.percent is not None]
            if rates:
                line.told["taxPercentage"] = sum(rates, ZERO)
        if "TaxIncludedInPriceFlag" in own:
            self._included = self._included or content(own["TaxIncludedInPriceFlag"]).lower() in _TRUE
        taken = _number("ExtendedDiscountAmount", content(own.get("ExtendedDiscountAmount")) or "0")
        if not taken and "RetailPriceModifier" in own:
            modifiers = (child for child in item if self._names.get(child.tag) == "RetailPriceModifier")
            taken = sum((self._taken(each) for each in modifiers if not _is_voided(each)), ZERO)
        line.reduction = -sign * abs(taken) if taken > 0 or "RetailPriceModifier" not in own else -sign * taken

    def _taken(self, modifier: Element) -> Decimal:
        """What a change of the price takes off."""
        found = self._own(modifier).get("Amount")
        action = found.get("Action", "").lower() if found is not None else ""
        if found is None or action == "replace":
            return ZERO
        value = abs(_number("RetailPriceModifier", content(found) or "0"))
        return -value if action == "add" else value

    def _discount(self, discount: Element) -> Line | None:
        taken = self._taken(discount)
        return Line({"productDescription": "Discount", "quantity": ZERO}, -taken, itemised=True) if taken else None

    def _reward(self, reward: Element) -> Line | None:
        """A reward in money; what only sums up others, points and messages are none.

        Which of them is which only NCR's extension tells, in which most rewards that are seen come.
        """
        found = {child.tag.rpartition("}")[2]: content(child) for child in reward[::-1]}
        flags = {name.rpartition("}")[2]: value for name, value in reward.attrib.items()}
        if flags.get("summarizedActivity", "").lower() in _TRUE:
            return None
        if found.get("RewardCategory", "Monetary") != "Monetary":
            return None
        if "ExtendedRewardAmount" in found:
            if "RewardCategory" not in found:
                return None
            value = _number("ExtendedRewardAmount", found["ExtendedRewardAmount"] or "0")
        else:
            value = -self._taken(reward)
        promotion = f"Promotion {found['PromotionID']}" if found.get("PromotionID") else "Reward"
        return Line({"productDescription": promotion, "quantity": ZERO}, value, itemised=True) if value else None

    # -- taxes, tenders, totals

    def _tax(self, tax: Element) -> ReceiptTax:
        own = self._own(tax)
        value = _number("Tax", content(own.get("Amount")) or "0")
        if tax.get("TypeCode", "").lower() in _BACK:
            value = -abs(value)
        percent, base = content(own.get("Percent")), own.get("TaxableAmount")
        if base is not None and base.get("TaxIncludedInTaxableAmountFlag", "").lower() in _TRUE:
            self._included = True
        return ReceiptTax(
            value,
            _number("Percent", percent) if percent else None,
            _number("TaxableAmount", content(base)) if content(base) else None,
        )

    def _tender(self, tender: Element) -> None:
        own = self._own(tender)
        kind = tender.get("TenderType") or content(own.get("TenderID"))
        value = _number("Tender", content(own.get("Amount")) or "0")
        if tender.get("TypeCode", "").lower() in _BACK or kind.lower() == "change":
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
                self._settle(kind, -abs(_number("TenderChange", content(child) or "0")))
            elif name == "TenderChange":
                self._change(child, kind)

    def _settle(self, kind: str, value: Decimal) -> None:
        self.settlements.append(without_gaps({"paymentMechanism": kind, "settlementAmount": value}))

    def _total(self, total: Element) -> None:
        kind = total.get("TotalType", "")
        if kind not in (_GRAND, _GROSS, _TAX) or kind in self._totals:
            return
        value = _number(kind, content(total))
        self._totals[kind] = -abs(value) if total.get("TypeCode", "").lower() in _BACK else value
        if kind == _GRAND:
            self.currency = self.currency or total.get("CurrencyCode") or total.get("Currency") or ""


def _is_voided(element: Element) -> bool:
    return any(element.get(name, "").strip().lower() in _TRUE for name in _VOIDED)


def _number(name: str, text: str) -> Decimal:
    """Raises `NoAmount`."""
    value = amount(text)
    if isinstance(value, Decimal) and abs(value) < AMOUNT_LIMIT:
        return value
    raise NoAmount(name, text)
