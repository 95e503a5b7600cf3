"""The canonical receipt of a Square order.

What the fields mean: Square API, objects Order, OrderLineItem, OrderReturn, OrderServiceCharge, OrderMoneyAmounts
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
from tillstream.formats.square_order import Amounts, Item, Money, Order, QuantityUnit, Rounding
from tillstream.receipt.model import AMOUNT_LIMIT, DocumentTotal, Fault, Line, Receipt, Settlement, minor_digits
from tillstream.receipt.validation import FAULTS_LIMIT, ID_LIMIT

Payment = tuple[str | None, int]
"""Mechanism, and what was paid in minor units."""

Rates = Mapping[str | None, str | None]
"""Percentages of taxes by their uid."""

_REFUND = "REFUND"
"""How money went back where no tender of the order tells."""

_NOT_REFUNDED = ("REJECTED", "FAILED")
# An apportioned charge is part of the totals of the lines that it was spread over.
_APPORTIONED = "APPORTIONED_TREATMENT"
_FIRST_YEAR, _LAST_YEAR = 1971, 9997

# Units whose amount was weighed or measured, as the canonical receipt calls them.
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
    """Written without what is missing, like the others here."""


class _Total(DocumentTotal, omit_defaults=True, gc=False): ...


class _Settlement(Settlement, omit_defaults=True, gc=False): ...


class _Receipt(Receipt, omit_defaults=True, gc=False): ...


def receipt(order: Order, settings: Settings) -> bytes | list[Fault]:
    """The canonical receipt of a completed order, or what keeps it from being one."""
    making = _Making(order, settings)
    faults = list(making.faults())
    made = None if faults else making.receipt()
    if faults or making.doubtful:
        doubts = _doubts(msgspec.to_builtins(order), "$", making.currency)
        return [*faults, *islice(doubts, FAULTS_LIMIT)]
    return encode(made)


class _Making:
    """The parts of a receipt, made of one order. Amounts stay minor units until they are written."""

    def __init__(self, order: Order, settings: Settings) -> None:
        self._order = order
        self._settings = settings
        totals = (order.total_money, order.net_amounts and order.net_amounts.total_money)
        named = [money.currency for money in totals if money and money.currency]
        self.currency = named[0] if named else settings.currency
        self.doubtful = False
        """Whether a currency is another one, or a text that should be a number is none."""
        self._written = _writer(minor_digits(self.currency))
        # An order may be open for hours, such as that of a table: the sale is when it was closed.
        self._moment = order.closed_at or order.created_at
        returns = order.returns or []
        summed = [order.return_amounts] if order.return_amounts else [each.return_amounts for each in returns]
        self._returned = [each for each in summed if each]
        self._gross, self._tax = self._totals()

    def faults(self) -> Iterator[Fault]:
        """What is missing, or is no name or time of a receipt."""
        for name, text in (("id", self._order.id), ("location_id", self._order.location_id)):
            if not text:
                yield Fault(f"$.{name}", "it is missing", "an order is known by its location and its id")
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
            yield Fault("$.net_amounts.total_money", "it is missing", "an order has net_amounts, or total_money")

    def receipt(self) -> Receipt:
        """Of an order without faults."""
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
        """Gross without tips, and tax: of what was sold less what came back."""
        order, net = self._order, self._order.net_amounts or Amounts()
        gross, tax = self._minor(net.total_money), self._minor(net.tax_money)
        if gross is not None:
            gross -= self._minor(net.tip_money) or 0
        elif (total := self._minor(order.total_money)) is not None:
            back = self._back("total_money") - self._back("tip_money")
            gross = total - (self._minor(order.total_tip_money) or 0) - back
        if tax is None and (total := self._minor(order.total_tax_money)) is not None:
            tax = total - self._back("tax_money")
        return gross, tax

    def _back(self, name: str) -> int:
        """What was given back of an amount."""
        return sum(self._minor(getattr(each, name)) or 0 for each in self._returned)

    # -- lines

    def _lines(self) -> list[Line]:
        order, lines = self._order, list[Line]()
        rates = {tax.uid: tax.percentage for tax in order.taxes or ()}
        self._add(lines, order.line_items, 1, rates)
        self._add(lines, order.service_charges, 1, rates)
        self._round(lines, order.rounding_adjustment, 1)
        for back in order.returns or ():
            theirs = rates | {tax.uid: tax.percentage for tax in back.return_taxes or ()}
            self._add(lines, back.return_line_items, -1, theirs)
            self._add(lines, back.return_service_charges, -1, theirs)
            self._round(lines, back.rounding_adjustment, -1)
        return lines

    def _add(self, lines: list[Line], items: Sequence[Item] | None, sign: int, rates: Rates) -> None:
        """Lines of articles or service charges; `sign` is -1 for what comes back."""
        minor, written = self._minor, self._written
        for item in items or ():
            if item.treatment_type == _APPORTIONED:
                continue
            gross, tax, price = minor(item.total_money), minor(item.total_tax_money), minor(item.base_price_money)
            name, taxes = item.name or item.item_type or None, item.applied_taxes
            number = self._sure(item.quantity or "0")
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
                    # Of two taxes nobody set a common rate.
                    taxPercentage=self._sure(applied[0]) if len(applied) == 1 and applied[0] else None,
                    settlementAmount=None if gross is None else written(sign * gross),
                )
            )

    def _round(self, lines: list[Line], rounding: Rounding | None, sign: int) -> None:
        """Cash rounding is part of the total, so it is a line, of no quantity and no tax."""
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
        """Tips are not the shop's: what was paid is told without them."""
        tenders = self._order.tenders or ()
        paid, tips = list[Payment](), self._minor(self._order.total_tip_money) or 0
        for tender in tenders:
            amount, tip = self._minor(tender.amount_money), self._minor(tender.tip_money) or 0
            if amount is not None:
                paid.append((tender.type, amount - tip))
                tips -= tip
        settlements: list[Settlement] = [
            _Settlement(self._written(each), name or None) for name, each in _less(paid, tips)
        ]
        if self._order.refunds:
            types = {tender.id: tender.type for tender in tenders}
            given = [each for each in self._order.refunds if each.status not in _NOT_REFUNDED]
            back = [(types.get(each.tender_id) or _REFUND, self._minor(each.amount_money) or 0) for each in given]
            less = _less(back, self._back("tip_money"))
            settlements += [_Settlement(self._written(-each), name) for name, each in less]
        return settlements

    # -- amounts

    def _minor(self, money: Money | None) -> int | None:
        if money is None:
            return None
        if money.currency != self.currency and money.currency:
            self.doubtful = True
        return money.amount

    def _sure(self, text: str) -> Decimal:
        number = _number(text)
        if number is None:
            self.doubtful = True
            return Decimal(0)
        return number


@cache
def _writer(digits: int) -> Callable[[int], Decimal]:
    """From minor units to the currency's own. Amounts come again and again, and are quicker found than made."""
    return lru_cache(maxsize=10_000)(lambda minor: Decimal(minor).scaleb(-digits))


@lru_cache(maxsize=10_000)
def _number(text: str) -> Decimal | None:
    number = amount(text)
    return number if isinstance(number, Decimal) and abs(number) < AMOUNT_LIMIT else None


def _less(payments: Sequence[Payment], tips: int) -> Sequence[Payment]:
    """The payments without tips that only the order tells of, each by its share."""
    if tips <= 0:
        return payments
    shares = spread(Decimal(tips), [Decimal(paid) for _, paid in payments], Decimal(1))
    return [(type_, paid - int(share)) for (type_, paid), share in zip(payments, shares, strict=True)]


def _unit(unit: QuantityUnit) -> str | None:
    """The unit as a short name, where the quantity is a measure."""
    measure = unit.measurement_unit
    if measure is None:
        return None
    if measure.custom_unit is not None:
        return measure.custom_unit.abbreviation
    named = (measure.weight_unit, measure.volume_unit, measure.length_unit, measure.area_unit, measure.time_unit)
    name = next((each for each in named if each), None)
    return _UNITS.get(name, name) if name else None


def _doubts(value: Any, path: str, currency: str) -> Iterator[Fault]:
    """Where an amount is in another currency than the order's total, and where a text is no number."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _doubts(each, f"{path}[{index}]", currency)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name == "currency" and each not in (None, "", currency):
                yield Fault(f"{path}.currency", f'expected {currency}, got "{each[:60]}"', "an order has one currency")
            elif name in ("quantity", "percentage"):
                if _number(each or "0") is None:
                    error = f'expected a number between -10^13 and 10^13, got "{each[:60]}"'
                    yield Fault(f"{path}.{name}", error, "write a point before decimals")
            else:
                yield from _doubts(each, f"{path}.{name}", currency)
