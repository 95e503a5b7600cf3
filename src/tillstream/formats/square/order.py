"""The Square order: its fields and its conversion to a canonical receipt.

Source: Square API, objects Order, OrderLineItem, OrderReturn, OrderServiceCharge, OrderMoneyAmounts and Tender
(developer.squareup.com/reference/square/objects/Order). Amounts are whole numbers of the currency's minor unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, lru_cache
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from tillstream.config.settings import Settings
from tillstream.formats.base import DecodeError
from tillstream.formats.canonical import amount, encode, local_date, spread
from tillstream.formats.json import JSON_ERRORS
from tillstream.receipt.amounts import AMOUNT_LIMIT, minor_digits
from tillstream.receipt.model import DocumentTotal, Fault, Line, Receipt, Settlement
from tillstream.receipt.validation import FAULTS_LIMIT, ID_LIMIT, ITEMS_LIMIT, find_faults, parse

STATES = ("OPEN", "COMPLETED", "CANCELED", "DRAFT")
SOLD = "COMPLETED"
NO_SALE = "NO_SALE"
"""The tender type of an order that only records an opened cash drawer. Such an order is skipped as this kind."""

_REFUND = "REFUND"
"""The payment mechanism of a refund if the order does not contain the tender that was refunded."""

_NOT_REFUNDED = ("REJECTED", "FAILED")
# Charges with this treatment are already included in the totals of the line items, so they do not become lines.
_APPORTIONED = "APPORTIONED_TREATMENT"
_FIRST_YEAR, _LAST_YEAR = 1971, 9997

_UNITS = {
    "METRIC_KILOGRAM": "kg",
    "METRIC_GRAM": "g",
    "IMPERIAL_POUND": "lb",
    "IMPERIAL_WEIGHT_OUNCE": "oz",
    "METRIC_LITER": "l",
    "METRIC_MILLILITER": "ml",
    "METRIC_METER": "m",
}

_Minor = Annotated[int, Meta(gt=-int(AMOUNT_LIMIT), lt=int(AMOUNT_LIMIT))]
_Number = Annotated[str, Meta(max_length=40)]
T = TypeVar("T")
Many = Annotated[list[T], Meta(max_length=ITEMS_LIMIT)]
_Instant = Annotated[datetime, Meta(tz=True)]


# -- fields of an order


class Money(Struct, gc=False):
    amount: _Minor | None = None
    currency: str | None = None


class Amounts(Struct, gc=False):
    total_money: Money | None = None
    tax_money: Money | None = None
    tip_money: Money | None = None


class Tax(Struct, gc=False):
    uid: str | None = None
    percentage: _Number | None = None


class AppliedTax(Struct, gc=False):
    tax_uid: str | None = None


class CustomUnit(Struct, gc=False):
    abbreviation: str | None = None


class Measure(Struct, gc=False):
    custom_unit: CustomUnit | None = None
    weight_unit: str | None = None
    volume_unit: str | None = None
    length_unit: str | None = None
    area_unit: str | None = None
    time_unit: str | None = None


class QuantityUnit(Struct, gc=False):
    measurement_unit: Measure | None = None


class Item(Struct, gc=False):
    """A sold or returned item, or a service charge. A service charge has no quantity."""

    name: str | None = None
    variation_name: str | None = None
    item_type: str | None = None
    catalog_object_id: str | None = None
    quantity: _Number | None = None
    quantity_unit: QuantityUnit | None = None
    base_price_money: Money | None = None
    applied_taxes: Many[AppliedTax] | None = None
    total_tax_money: Money | None = None
    total_money: Money | None = None
    treatment_type: str | None = None


class Rounding(Struct, gc=False):
    name: str | None = None
    amount_money: Money | None = None


class Return(Struct, gc=False):
    line_items: Many[Item] | None = field(name="return_line_items", default=None)
    service_charges: Many[Item] | None = field(name="return_service_charges", default=None)
    taxes: Many[Tax] | None = field(name="return_taxes", default=None)
    rounding_adjustment: Rounding | None = None
    return_amounts: Amounts | None = None


class Tender(Struct, gc=False):
    id: str | None = None
    type: str | None = None
    amount_money: Money | None = None
    tip_money: Money | None = None


class Refund(Struct, gc=False):
    tender_id: str | None = None
    status: str | None = None
    amount_money: Money | None = None


class Order(Struct, gc=False):
    """A Square order. All fields are optional, because an order that is not completed may have none of them."""

    id: str | None = None
    location_id: str | None = None
    customer_id: str | None = None
    state: str | None = None
    created_at: _Instant | None = None
    closed_at: _Instant | None = None
    line_items: Many[Item] | None = None
    taxes: Many[Tax] | None = None
    service_charges: Many[Item] | None = None
    returns: Many[Return] | None = None
    rounding_adjustment: Rounding | None = None
    tenders: Many[Tender] | None = None
    refunds: Many[Refund] | None = None
    total_money: Money | None = None
    total_tax_money: Money | None = None
    total_tip_money: Money | None = None
    return_amounts: Amounts | None = None
    net_amounts: Amounts | None = None

    @property
    def moves_nothing(self) -> bool:
        """Whether the order only records that the cash drawer was opened."""
        sold = self.line_items or self.service_charges or self.returns or self.refunds
        return bool(not sold and self.tenders and all(tender.type == NO_SALE for tender in self.tenders))


_decode = msgspec.json.Decoder(Order).decode
_SHAPE = msgspec.inspect.type_info(Order)


def read(order: bytes) -> Order:
    """Parse an order. Raises `DecodeError` or `ReceiptError` with all faults of an invalid order."""
    try:
        return _decode(order)
    except JSON_ERRORS as error:
        faults = list(islice(find_faults(_SHAPE, parse(order), "$"), FAULTS_LIMIT))
        raise DecodeError(*faults or [Fault("$", f"not a Square order: {error}")]) from None


# -- conversion


def convert(order: Order, settings: Settings) -> bytes:
    """Convert a completed order to a canonical receipt. Raises `DecodeError` if it cannot be converted."""
    conversion = _Conversion(order, settings)
    faults = list(conversion.faults())
    converted = None if faults else conversion.receipt()
    if faults or conversion.has_bad_values:
        bad_values = _bad_values(msgspec.to_builtins(order), "$", conversion.currency)
        raise DecodeError(*faults, *islice(bad_values, FAULTS_LIMIT))
    return encode(converted)


class _Conversion:
    """Converts one order. All integers are amounts in minor units."""

    def __init__(self, order: Order, settings: Settings) -> None:
        self._order = order
        self._settings = settings
        totals = (order.total_money, order.net_amounts and order.net_amounts.total_money)
        named = [money.currency for money in totals if money and money.currency]
        self.currency = named[0] if named else settings.currency
        self.has_bad_values = False
        """Whether an amount in another currency or an invalid number was found so far."""
        self._written = _writer(minor_digits(self.currency))
        # The order of a restaurant table may be open for hours. The sale happens when the order is closed.
        self._moment = order.closed_at or order.created_at
        returns = order.returns or []
        summed = [order.return_amounts] if order.return_amounts else [each.return_amounts for each in returns]
        self._returned = [each for each in summed if each]
        self._gross, self._tax = self._totals()

    def faults(self) -> Iterator[Fault]:
        """Yield a fault for each missing field, and for each id or time that is not valid in a receipt."""
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
        """Build the receipt of an order without faults."""
        order, store = self._order, self._order.location_id or ""
        gross, tax = self._gross or 0, self._tax
        total = DocumentTotal(self._written(gross))
        if tax is not None:
            total.netTotal, total.taxPayable = self._written(gross - tax), self._written(tax)
        return Receipt(
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
        """Return the gross total without tips, and the tax. Returns are subtracted from both."""
        order, net = self._order, self._order.net_amounts or Amounts()
        gross, tax = self._minor(net.total_money), self._minor(net.tax_money)
        if gross is not None:
            gross -= self._minor(net.tip_money) or 0
        elif (total := self._minor(order.total_money)) is not None:
            returned = self._returned_sum("total_money") - self._returned_sum("tip_money")
            gross = total - (self._minor(order.total_tip_money) or 0) - returned
        if tax is None and (total := self._minor(order.total_tax_money)) is not None:
            tax = total - self._returned_sum("tax_money")
        return gross, tax

    def _returned_sum(self, name: str) -> int:
        """Add up one amount of all returns, such as `tax_money`."""
        return sum(self._minor(getattr(each, name)) or 0 for each in self._returned)

    def _lines(self) -> list[Line]:
        rates = {tax.uid: tax.percentage for tax in self._order.taxes or ()}
        lines = list(self._lines_of(self._order, 1, rates))
        for each in self._order.returns or ():
            lines += self._lines_of(each, -1, rates | {tax.uid: tax.percentage for tax in each.taxes or ()})
        for number, line in enumerate(lines, 1):
            line.lineNumber = number
        return lines

    def _lines_of(self, part: Order | Return, sign: int, rates: Mapping[Any, str | None]) -> Iterator[Line]:
        """Yield the lines of the order or of a return. `sign` is -1 for a return. `rates` maps tax uids to rates."""
        for item in (*(part.line_items or ()), *(part.service_charges or ())):
            if item.treatment_type != _APPORTIONED:
                yield self._line(item, sign, rates)
        rounding = part.rounding_adjustment
        amount = self._minor(rounding.amount_money) if rounding else None
        if rounding and amount:
            # The total includes cash rounding, so the rounding becomes a line. The line has no tax.
            written = self._written(sign * amount)
            yield Line(
                productDescription=rounding.name or "Rounding",
                quantity=Decimal(0),
                creditAmount=written,
                settlementAmount=written,
            )

    def _line(self, item: Item, sign: int, rates: Mapping[Any, str | None]) -> Line:
        gross, tax = self._minor(item.total_money), self._minor(item.total_tax_money)
        quantity, price = self._decimal(item.quantity or "0"), self._minor(item.base_price_money)
        name = item.name or item.item_type or None
        if item.applied_taxes:
            applied = [rates.get(each.tax_uid) for each in item.applied_taxes]
        else:
            applied = list(rates.values()) if tax else []
        return Line(
            productCode=item.catalog_object_id or None,
            productDescription=f"{name}, {item.variation_name}" if name and item.variation_name else name,
            quantity=quantity if sign > 0 else -quantity,
            unitOfMeasure=_unit(item.quantity_unit) if item.quantity_unit else None,
            unitPrice=None if price is None else self._written(price),
            creditAmount=None if gross is None or tax is None else self._written(sign * (gross - tax)),
            # A line has room for a single tax rate, so it gets none if several taxes apply.
            taxPercentage=self._decimal(applied[0]) if len(applied) == 1 and applied[0] else None,
            settlementAmount=None if gross is None else self._written(sign * gross),
        )

    def _settlements(self) -> list[Settlement]:
        """Return the payments without tips, because tips are not revenue."""
        tenders = self._order.tenders or ()
        paid: list[tuple[str | None, int]] = []
        tips = self._minor(self._order.total_tip_money) or 0
        for tender in tenders:
            amount, tip = self._minor(tender.amount_money), self._minor(tender.tip_money) or 0
            if amount is not None:
                paid.append((tender.type, amount - tip))
                tips -= tip
        settlements: list[Settlement] = [
            Settlement(self._written(each), name or None) for name, each in _without_tips(paid, tips)
        ]
        if self._order.refunds:
            types = {tender.id: tender.type for tender in tenders}
            refunds = [each for each in self._order.refunds if each.status not in _NOT_REFUNDED]
            back = [(types.get(each.tender_id) or _REFUND, self._minor(each.amount_money) or 0) for each in refunds]
            repaid = _without_tips(back, self._returned_sum("tip_money"))
            settlements += [Settlement(self._written(-each), name) for name, each in repaid]
        return settlements

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
    """Return a function that converts minor units to a decimal with `digits` decimal places. It caches its results."""
    return lru_cache(maxsize=10_000)(lambda minor: Decimal(minor).scaleb(-digits))


@lru_cache(maxsize=10_000)
def _number(text: str) -> Decimal | None:
    number = amount(text)
    return number if isinstance(number, Decimal) and abs(number) < AMOUNT_LIMIT else None


def _without_tips(payments: Sequence[tuple[str | None, int]], tips: int) -> Sequence[tuple[str | None, int]]:
    """Subtract tips from payments in proportion to the payments. Each payment is a mechanism and an amount."""
    if tips <= 0:
        return payments
    shares = spread(Decimal(tips), [Decimal(paid) for _, paid in payments], Decimal(1))
    return [(type_, paid - int(share)) for (type_, paid), share in zip(payments, shares, strict=True)]


def _unit(unit: QuantityUnit) -> str | None:
    """Return the short name of a unit of measure, if there is one."""
    measure = unit.measurement_unit
    if measure is None:
        return None
    if measure.custom_unit is not None:
        return measure.custom_unit.abbreviation
    named = (measure.weight_unit, measure.volume_unit, measure.length_unit, measure.area_unit, measure.time_unit)
    name = next((each for each in named if each), None)
    return _UNITS.get(name, name) if name else None


def _bad_values(value: Any, path: str, currency: str) -> Iterator[Fault]:
    """Yield a fault for each amount in another currency, and for each invalid number."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _bad_values(each, f"{path}[{index}]", currency)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _bad_values(each, f"{path}.{name}", currency)
    elif path.endswith(".currency") and value not in (None, "", currency):
        hint = "all amounts of an order must have the same currency"
        yield Fault(path, f'expected {currency}, got "{value[:60]}"', hint)
    elif path.endswith((".quantity", ".percentage")) and _number(value or "0") is None:
        error = f'expected a number between -10^13 and 10^13, got "{value[:60]}"'
        yield Fault(path, error, "write a decimal point")
