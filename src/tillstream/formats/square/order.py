"""The Square order: the fields that a receipt is made of.

Source: Square API, objects Order, OrderLineItem, OrderReturn, OrderServiceCharge, OrderMoneyAmounts and Tender
(developer.squareup.com/reference/square/objects/Order). Amounts are whole numbers of the currency's minor unit.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.model import Fault
from tillstream.receipt.validation import FAULTS_LIMIT, ITEMS_LIMIT, ReceiptError, find_faults, parse

STATES = ("OPEN", "COMPLETED", "CANCELED", "DRAFT")
SOLD = "COMPLETED"
NO_SALE = "NO_SALE"
"""Tender type of a cash drawer that was opened without a sale, and the kind of the skip for it."""

_Minor = Annotated[int, Meta(gt=-int(AMOUNT_LIMIT), lt=int(AMOUNT_LIMIT))]
_Number = Annotated[str, Meta(max_length=40)]
T = TypeVar("T")
Many = Annotated[list[T], Meta(max_length=ITEMS_LIMIT)]
_Instant = Annotated[datetime, Meta(tz=True)]


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
    scope: str | None = None


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
    """A sold or returned item, or a service charge, which has no quantity."""

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
    return_line_items: Many[Item] | None = None
    return_service_charges: Many[Item] | None = None
    return_taxes: Many[Tax] | None = None
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
    """A Square order. All fields are optional here, because only completed orders need the fields of a receipt."""

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


_read = msgspec.json.Decoder(Order).decode
_SHAPE = msgspec.inspect.type_info(Order)


def read(order: bytes) -> Order | list[Fault]:
    """Parse an order. Returns the faults of an order that does not follow Square's reference."""
    try:
        return _read(order)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        try:
            faults = list(islice(find_faults(_SHAPE, parse(order), "$"), FAULTS_LIMIT))
        except ReceiptError as refused:
            return list(refused.faults)
        return faults or [Fault("$", f"not a Square order: {error}")]
