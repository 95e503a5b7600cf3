"""Square Orders: one order of the Square Orders API, a page of orders, or one order per line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tillstream.formats.base import BOM, LIMIT_HINT, Decoded, DecodeError, Decoder, Record, Skip, Unreadable, text_of
from tillstream.formats.json import JSON_ERRORS, WHOLE_BYTES, ValueReader, elements, is_dense, is_object, lines, reason
from tillstream.formats.square.order import NO_SALE, SOLD, STATES, convert, read
from tillstream.receipt.model import PERSONAL, Fault
from tillstream.receipt.validation import ReceiptError

EMPTY = "EMPTY"
"""A page without orders is skipped as this kind. The API returns such a page if a search finds nothing."""

_HINT = 'send an order, {"order": …}, {"orders": […]}, or one order a line'

# If the first line ends with one of these, it starts a document that spans several lines.
_UNFINISHED_ENDS = (b"{", b"[", b",", b":")

_MEMBER = r'"[a-z_]{1,40}"\s*:\s*(?:"[^"\\]{0,2000}"|\[\s*\]|null|[0-9]{1,20})\s*'
_PAGE_START = re.compile(rf'\[|\{{\s*(?:{_MEMBER},\s*){{0,10}}"orders"\s*:\s*\[')
_PAGE_END = re.compile(rf"\](?:\s*(?:,\s*{_MEMBER}){{0,10}}\}})?")

_ORDER_FIELD = re.compile(r'"(?:location_id|line_items|tenders|returns|orders?)"\s*:')
_ORDER_VALUE = re.compile(
    r'"(?:total_money|base_price_money|applied_money|amount_money|net_amounts)"\s*:\s*\{'
    rf'|"state"\s*:\s*"(?:{"|".join(STATES)})"'
)


class _Page(Struct, gc=False):
    order: Raw | UnsetType = UNSET
    orders: list[Raw] | UnsetType | None = UNSET


class SquareDecoder(Decoder):
    """The format with orders of the Square Orders API."""

    name = "square"
    title = "Square Orders"
    help = (
        'Orders of the Square Orders API: one order, `{"order": …}`, `{"orders": […]}` as in a search result, or one '
        "order per line. A `COMPLETED` order is a receipt. `OPEN`, `DRAFT` and `CANCELED` orders are skipped. An opened "
        "cash drawer (`NO_SALE`) and a page without orders (`EMPTY`) are skipped, too. The store is `location_id` and "
        "the receipt number is `id`. The date is `closed_at` or `created_at` in the local time of the store. "
        "`line_items` and `service_charges` become lines, `returns` become negative lines, and cash rounding becomes a "
        "line. The totals are `net_amounts`: sales minus returns. Tips are not revenue, so they are in no total and in "
        "no payment. `tenders` become payments by their `type`, and `refunds` become negative payments. Orders in a "
        "currency other than the setting `currency` are rejected. The paths of faults start at the order."
    )
    media_types = ("application/vnd.square.orders+json",)
    personal = (
        *PERSONAL,
        *("customer_id", "recipient", "ticket_name", "created_by", "team_member_id", "employee_id"),
        *("buyer_email_address", "card_details", "bank_account_details", "square_account_details"),
        "buy_now_pay_later_details",
    )
    example = """{"order": {
  "id": "vQm3kT1047", "location_id": "L12", "state": "COMPLETED",
  "created_at": "2026-11-23T09:14:20Z", "closed_at": "2026-11-23T09:15:00.250Z",
  "line_items": [
    {"catalog_object_id": "BAGUETTE", "name": "Baguette", "quantity": "2",
     "base_price_money": {"amount": 120, "currency": "EUR"}, "applied_taxes": [{"tax_uid": "bread"}],
     "total_tax_money": {"amount": 12, "currency": "EUR"}, "total_money": {"amount": 240, "currency": "EUR"}}
  ],
  "taxes": [{"uid": "bread", "name": "TVA", "percentage": "5.5", "type": "INCLUSIVE", "scope": "LINE_ITEM"}],
  "net_amounts": {
    "total_money": {"amount": 290, "currency": "EUR"}, "tax_money": {"amount": 12, "currency": "EUR"},
    "tip_money": {"amount": 50, "currency": "EUR"}
  },
  "tenders": [
    {"type": "CARD", "amount_money": {"amount": 290, "currency": "EUR"}, "tip_money": {"amount": 50, "currency": "EUR"}}
  ]
}}"""

    def recognises(self, head: bytes) -> bool:
        text = text_of(head)
        return (
            text[:1] in ("{", "[")
            and '"cashReceiptID"' not in text
            and _ORDER_FIELD.search(text) is not None
            and _ORDER_VALUE.search(text) is not None
        )

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit = self.settings.receipt_limit_bytes
        first_lines = [source.readline(limit + 2), source.readline(limit + 2)]
        if is_object(first_lines[0]) or (
            is_object(first_lines[1]) and not first_lines[0].rstrip().endswith(_UNFINISHED_ENDS)
        ):
            for number, line in lines(source, limit, first_lines):
                if isinstance(line, Unreadable):
                    yield line
                else:
                    yield from self._document(line, f"line {number}")
            return
        payload = b"".join(first_lines) + source.read(WHOLE_BYTES)
        if len(payload) < WHOLE_BYTES and not is_dense(payload):
            yield from self._document(payload)
        else:
            yield from self._documents(payload, source)

    def _documents(self, payload: bytes, source: BinaryIO) -> Iterator[Decoded]:
        """Decode a sequence of orders and pages. The sequence may be larger than memory."""
        values = ValueReader(payload, source, self.settings.receipt_limit_bytes)
        inside, number = False, 0
        while values.peek():
            if values.skip(_PAGE_END if inside else _PAGE_START):
                if inside and not number:
                    yield Skip(EMPTY)
                inside, number = not inside, 0
                continue
            value = values.read()
            if isinstance(value, Unreadable):
                yield value
                return
            if inside:
                yield self._order(value, f"orders[{number}]")
                number += 1
            else:
                yield from self._document(value)
        if inside:
            yield values.missing_end()

    def _document(self, document: bytes, where: str = "") -> Iterator[Decoded]:
        """Decode the orders of a JSON document."""
        body = document.removeprefix(BOM).strip()
        if not body:
            return
        try:
            orders = _orders(body)
        except JSON_ERRORS as error:
            start = document[: self.settings.receipt_limit_bytes]
            yield Unreadable.because(f"not Square orders: {reason(error)}", _HINT, start, where)
            return
        if not orders:
            yield Skip(EMPTY)
        if len(orders) == 1:
            yield self._order(bytes(orders[0]), where)
            return
        prefix = f"{where}, " if where else ""
        for index, order in enumerate(orders):
            yield self._order(bytes(order), f"{prefix}orders[{index}]")

    def _order(self, original: bytes, where: str) -> Decoded:
        limit = self.settings.receipt_limit_bytes
        if len(original) > limit:
            error = f"the order takes {len(original)} bytes, more than {limit}"
            return Unreadable.because(error, LIMIT_HINT, original[:limit], where)
        try:
            order = read(original)
            if order.state not in STATES:
                got = (
                    f'expected one of {", ".join(STATES)}, got "{order.state[:60]}"'
                    if order.state is not None
                    else "it is missing"
                )
                raise DecodeError(Fault("$.state", got, "only a COMPLETED order is a receipt"))
            if order.state != SOLD:
                return Skip(order.state)
            return Skip(NO_SALE) if order.moves_nothing else Record(convert(order, self.settings), original)
        except (DecodeError, ReceiptError) as error:
            return Unreadable(error.faults, original, where)


def _orders(document: bytes) -> Sequence[bytes | Raw]:
    """Split a document into orders. Raises one of `JSON_ERRORS`."""
    if document.startswith(b"["):
        return elements(document)
    # Only a page has a member `order` or `orders`. Searching for the name first is ten times as fast as always decoding
    # the document as a page.
    if b'"order' in document:
        page = _read_page(document)
        if page.orders is not UNSET:
            return page.orders or []
        if page.order is not UNSET:
            return [page.order]
    return [document] if document.strip(b"{} \t\r\n") else []


_read_page = msgspec.json.Decoder(_Page).decode
