"""Conversion of a Square order to a canonical receipt.

Source of the meaning of the fields: Square API, objects Order, OrderLineItem, OrderReturn, OrderServiceCharge, OrderMoneyAmounts
and Tender (developer.squareup.com/reference/square/objects/Order).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from itertools import islice
from typing import Any

import msgspec

from tillstream.config.settings import Settings
from tillstream.formats.canonical import amount, encode, local_date, spread
from tillstream.formats.square.order import Amounts, Item, Money, Order, QuantityUnit, Rounding
from tillstream.receipt.amounts import AMOUNT_LIMIT, minor_digits
from tillstream.receipt.model import DocumentTotal, Fault, Line, Receipt, Settlement
from tillstream.receipt.validation import FAULTS_LIMIT, ID_LIMIT

Payment = tuple[str | None, int]
"""Payment mechanism and amount in minor units."""

Rates = Mapping[str | None, str | None]
"""Tax percentages by the uid of the tax."""

_REFUND = "REFUND"
"""Payment mechanism of refunds whose tender is not in the order."""

_NOT_REFUNDED = ("REJECTED", "FAILED")
# The totals of the line items include apportioned charges.
_APPORTIONED = "APPORTIONED_TREATMENT"
_FIRST_YEAR, _LAST_YEAR = 1971, 9997

# Short names of the units of measure.
_UNITS = {
    "METRIC_KILOGRAM": "kg",
    "METRIC_GRAM": "g",
    "IMPERIAL_POUND": "lb",
    "IMPERIAL_WEIGHT_OUNCE": "oz",
    "METRIC_LITER": "l",
    "METRIC_MILLILITER": "ml",
    "METRIC_METER": "m",
}


class _Line(Line, omit_defaults=True, gc=False):
    """A line that is encoded without its missing fields, like the other types here."""


class _Total(DocumentTotal, omit_defaults=True, gc=False): ...


class _Settlement(Settlement, omit_defaults=True, gc=False): ...


class _Receipt(Receipt, omit_defaults=True, gc=False): ...


def receipt(order: Order, settings: Settings) -> bytes | list[Fault]:
    """Convert a completed order to a canonical receipt. Returns the faults of an order that cannot be converted."""
    conversion = _Conversion(order, settings)
    faults = list(conversion.faults())
    converted = None if faults else conversion.receipt()
    if faults or conversion.has_bad_values:
        bad_values = _bad_values(msgspec.to_builtins(order), "$", conversion.currency)
        return [*faults, *islice(bad_values, FAULTS_LIMIT)]
    return encode(converted)


class _Conversion:
    """Converts one order. Amounts are in minor units until they are written."""

    def __init__(self, order: Order, settings: Settings) -> None:
        self._order = order
        self._settings = settings
        totals = (order.total_money, order.net_amounts and order.net_amounts.total_money)
        named = [money.currency for money in totals if money and money.currency]
        self.currency = named[0] if named else settings.currency
        self.has_bad_values = False
        """Whether an amount is in another currency, or a number is not valid."""
        self._written = _writer(minor_digits(self.currency))
        # Orders, such as those of a restaurant table, may be open for hours. The sale happens when an order is closed.
        self._moment = order.closed_at or order.created_at
        returns = order.returns or []
        summed = [order.return_amounts] if order.return_amounts else [each.return_amounts for each in returns]
        self._returned = [each for each in summed if each]
        self._gross, self._tax = self._totals()

    def faults(self) -> Iterator[Fault]:
        """Find missing fields, and ids and times that a receipt cannot have."""
        for name, text in (("id", self._order.id), ("location_id", self._order.location_id)):
            if not text:
                yield Fault(f"$.{name}", "it is missing", "an order is identified by its location and its id")
            elif len(text) > ID_LIMIT:
                yield Fault(f"$.{name}", f"it has {len(text)} characters, more than {ID_LIMIT}")
            elif not text.isprintable():
                yield Fault(f"$.{name}", "it has a control character", "such as a tab or a line break")
        if self._moment is None:
            yield Fault("$.closed_at", "it is missing", "send an order once it is completed")
        elif not _FIRST_YEAR <= self._moment.year <= _LAST_YEAR:
            name = "closed_at" if self._order.closed_at else "created_at"
            yield Fault(f"$.{name}", f"expected a year from {_FIRST_YEAR} to {_LAST_YEAR}")
        if self._gross is None:
            yield Fault("$.net_amounts.total_money", "it is missing", "an order needs net_amounts or total_money")

    def receipt(self) -> Receipt:
        """The receipt of an order without faults."""
        order, store = self._order, self._order.location_id or ""
        gross, tax = self._gross or 0, self._tax
        total = _Total(self._written(gross))
        if tax is not None:
            total.netTotal, total.taxPayable = self._written(gross - tax), self._written(tax)
        return _Receipt(
            cashReceiptID=order.id or "",
            storeID=store,
            date=local_date(self._settings, store, self._moment) if self._moment else "",
            customerID=order.customer_id or None,
            currency=self.currency,
            lines=self._lines(),
            documentTotal=total,
            settlements=self._settlements(),
        )

    def _totals(self) -> tuple[int | None, int | None]:
        """Gross total without tips, and tax. Returns are subtracted."""
        order, net = self._order, self._order.net_amounts or Amounts()
        gross, tax = self._minor(net.total_money), self._minor(net.tax_money)
        if gross is not None:
            gross -= self._minor(net.tip_money) or 0
        elif (total := self._minor(order.total_money)) is not None:
            back = self._returned_sum("total_money") - self._returned_sum("tip_money")
            gross = total - (self._minor(order.total_tip_money) or 0) - back
        if tax is None and (total := self._minor(order.total_tax_money)) is not None:
            tax = total - self._returned_sum("tax_money")
        return gross, tax

    def _returned_sum(self, name: str) -> int:
        """Sum of an amount over all returns."""
        return sum(self._minor(getattr(each, name)) or 0 for each in self._returned)

    # -- lines

    def _lines(self) -> list[Line]:
        order, lines = self._order, list[Line]()
        rates = {tax.uid: tax.percentage for tax in order.taxes or ()}
        self._add_lines(lines, order.line_items, 1, rates)
        self._add_lines(lines, order.service_charges, 1, rates)
        self._add_rounding(lines, order.rounding_adjustment, 1)
        for back in order.returns or ():
            theirs = rates | {tax.uid: tax.percentage for tax in back.return_taxes or ()}
            self._add_lines(lines, back.return_line_items, -1, theirs)
            self._add_lines(lines, back.return_service_charges, -1, theirs)
            self._add_rounding(lines, back.rounding_adjustment, -1)
        return lines

    def _add_lines(self, lines: list[Line], items: Sequence[Item] | None, sign: int, rates: Rates) -> None:
        """Add the lines of items or service charges. `sign` is -1 for returns."""
        minor, written = self._minor, self._written
        for item in items or ():
            if item.treatment_type == _APPORTIONED:
                continue
            gross, tax, price = minor(item.total_money), minor(item.total_tax_money), minor(item.base_price_money)
            name, taxes = item.name or item.item_type or None, item.applied_taxes
            number = self._decimal(item.quantity or "0")
            applied = [rates.get(each.tax_uid) for each in taxes] if taxes else list(rates.values()) if tax else []
            lines.append(
                _Line(
                    lineNumber=len(lines) + 1,
                    productCode=item.catalog_object_id or None,
                    productDescription=f"{name}, {item.variation_name}" if name and item.variation_name else name,
                    quantity=number if sign > 0 else -number,
                    unitOfMeasure=_unit(item.quantity_unit) if item.quantity_unit else None,
                    unitPrice=None if price is None else written(price),
                    creditAmount=None if gross is None or tax is None else written(sign * (gross - tax)),
                    # Several taxes have no common rate.
                    taxPercentage=self._decimal(applied[0]) if len(applied) == 1 and applied[0] else None,
                    settlementAmount=None if gross is None else written(sign * gross),
                )
            )

    def _add_rounding(self, lines: list[Line], rounding: Rounding | None, sign: int) -> None:
        """Add a line for cash rounding, which is part of the total. It has no quantity and no tax."""
        minor = self._minor(rounding.amount_money) if rounding else None
        if rounding and minor:
            amount = self._written(sign * minor)
            lines.append(
                _Line(
                    lineNumber=len(lines) + 1,
                    productDescription=rounding.name or "Rounding",
                    quantity=Decimal(0),
                    creditAmount=amount,
                    settlementAmount=amount,
                )
            )

    # -- settlements

    def _settlements(self) -> list[Settlement]:
        """Payments without tips, because tips are not revenue."""
        tenders = self._order.tenders or ()
        paid, tips = list[Payment](), self._minor(self._order.total_tip_money) or 0
        for tender in tenders:
            amount, tip = self._minor(tender.amount_money), self._minor(tender.tip_money) or 0
            if amount is not None:
                paid.append((tender.type, amount - tip))
                tips -= tip
        settlements: list[Settlement] = [
            _Settlement(self._written(each), name or None) for name, each in _without_tips(paid, tips)
        ]
        if self._order.refunds:
            types = {tender.id: tender.type for tender in tenders}
            given = [each for each in self._order.refunds if each.status not in _NOT_REFUNDED]
            back = [(types.get(each.tender_id) or _REFUND, self._minor(each.amount_money) or 0) for each in given]
            refunds = _without_tips(back, self._returned_sum("tip_money"))
            settlements += [_Settlement(self._written(-each), name) for name, each in refunds]
        return settlements

    # -- amounts

    def _minor(self, money: Money | None) -> int | None:
        if money is None:
            return None
        if money.currency != self.currency and money.currency:
            self.has_bad_values = True
        return money.amount

    def _decimal(self, text: str) -> Decimal:
        number = _number(text)
        if number is None:
            self.has_bad_values = True
            return Decimal(0)
        return number


@cache
def _writer(digits: int) -> Callable[[int], Decimal]:
    """Cached conversion from minor units to the currency, because the same amounts are frequent."""
    return lru_cache(maxsize=10_000)(lambda minor: Decimal(minor).scaleb(-digits))


@lru_cache(maxsize=10_000)
def _number(text: str) -> Decimal | None:
    number = amount(text)
    return number if isinstance(number, Decimal) and abs(number) < AMOUNT_LIMIT else None


def _without_tips(payments: Sequence[Payment], tips: int) -> Sequence[Payment]:
    """Subtract the tips that no tender has, in proportion to the payments."""
    if tips <= 0:
        return payments
    shares = spread(Decimal(tips), [Decimal(paid) for _, paid in payments], Decimal(1))
    return [(type_, paid - int(share)) for (type_, paid), share in zip(payments, shares, strict=True)]


def _unit(unit: QuantityUnit) -> str | None:
    """Short name of the unit of measure, if there is one."""
    measure = unit.measurement_unit
    if measure is None:
        return None
    if measure.custom_unit is not None:
        return measure.custom_unit.abbreviation
    named = (measure.weight_unit, measure.volume_unit, measure.length_unit, measure.area_unit, measure.time_unit)
    name = next((each for each in named if each), None)
    return _UNITS.get(name, name) if name else None


def _bad_values(value: Any, path: str, currency: str) -> Iterator[Fault]:
    """Find amounts in another currency than the total, and invalid numbers."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _bad_values(each, f"{path}[{index}]", currency)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == "currency" and each not in (None, "", currency):
                yield Fault(
                    f"{path}.currency",
                    f'expected {currency}, got "{each[:60]}"',
                    "all amounts of an order must have the same currency",
                )
            elif name in ("quantity", "percentage"):
                if _number(each or "0") is None:
                    error = f'expected a number between -10^13 and 10^13, got "{each[:60]}"'
                    yield Fault(f"{path}.{name}", error, "write a decimal point")
            else:
                yield from _bad_values(each, f"{path}.{name}", currency)
