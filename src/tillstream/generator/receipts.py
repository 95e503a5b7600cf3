"""A receipt: its lines and payments in integer cents, and its canonical JSON.

A receipt is assembled from parts that are already JSON, so the same part can be used in many receipts.

Amounts have the same form as on real receipts: `5.96`, `0.3`, `2.0`. A few receipts have amounts with the rounding
errors of binary floats: `3.3600000000000003`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tillstream.generator.chain import Till
from tillstream.generator.products import CATEGORIES, Product

NOISE_SHARE = 0.02
"""The share of receipts whose amounts have the rounding errors of binary floats."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a receipt. `quantity` is in pieces, or in grams for a weighed product. `vat` is in per mille."""

    product: Product
    quantity: int
    vat: int
    gross: int
    net: int


@dataclass(frozen=True, slots=True)
class Basket:
    """The lines and payments of a receipt. Each settlement is a payment method and an amount in cents."""

    lines: tuple[Line, ...]
    settlements: tuple[tuple[str, int], ...]

    @property
    def gross(self) -> int:
        return sum(line.gross for line in self.lines)

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)

    def as_return(self) -> Basket:
        """Return the basket with all quantities and amounts negated."""
        lines = (replace(line, quantity=-line.quantity, gross=-line.gross, net=-line.net) for line in self.lines)
        return Basket(tuple(lines), tuple((mechanism, -amount) for mechanism, amount in self.settlements))


def encode_basket(basket: Basket, random: Random) -> bytes:
    """Return the part of a receipt's JSON after the date: lines, totals, settlements and the closing brace."""
    amount = format_with_noise if random.random() < NOISE_SHARE else format_amount
    lines = ", ".join(_encode_line(number, line, amount) for number, line in enumerate(basket.lines, 1))
    settlements = ", ".join(
        f'{{"paymentMechanism": "{mechanism}", "settlementAmount": {amount(cents)}}}'
        for mechanism, cents in basket.settlements
    )
    gross, net = basket.gross, basket.net
    total = f'"grossTotal": {amount(gross)}, "taxPayable": {amount(gross - net)}, "netTotal": {amount(net)}'
    return f'"lines": [{lines}], "documentTotal": {{{total}}}, "settlements": [{settlements}]}}'.encode()


def _encode_line(number: int, line: Line, amount: Callable[[int], str]) -> str:
    product = line.product
    quantity = f"{_sign(line.quantity)}{abs(line.quantity) / 1000:.3f}" if product.weighed else line.quantity
    return (
        f'{{"unitOfMeasure": "{"kg" if product.weighed else "piece"}", "settlementAmount": {amount(line.gross)}, '
        f'"creditAmount": {amount(line.net)}, "lineNumber": {number}, '
        f'"unitPrice": {net_price(product.price, line.vat)}, "productCode": "{product.code}", '
        f'"taxPercentage": {line.vat / 10:g}, "productDescription": "{product.name}", '
        f'"productCategoryName": "{product.category}", '
        f'"productCategoryCode": "{1 + CATEGORIES.index(product.category)}", "quantity": {quantity}}}'
    )


def encode_till(till: Till) -> bytes:
    """Return the part of a receipt's JSON after the receipt number: the ids of the store, the till and the cashier."""
    return f'", "storeID": "{till.store}", "terminalID": "{till.terminal}", "agentID": "{till.agent}", '.encode()


def assemble(number: bytes, till: bytes, customer: bytes, date: bytes, basket: bytes) -> bytes:
    """Return the JSON of a receipt from its parts. `customer` is empty if the customer has no loyalty card."""
    if customer:
        return b'{"cashReceiptID": "%b%b"customerID": "%b", "date": "%b", %b' % (number, till, customer, date, basket)
    return b'{"cashReceiptID": "%b%b"date": "%b", %b' % (number, till, date, basket)


def format_amount(cents: int) -> str:
    """Format an amount with one or two decimals: 596 becomes `5.96`, 30 becomes `0.3`, 200 becomes `2.0`."""
    return f"{_sign(cents)}{abs(cents) // 100}.{abs(cents) % 100:02d}".removesuffix("0")


def format_with_noise(cents: int) -> str:
    """Format an amount like a binary float with a rounding error. The error is less than a billionth."""
    if cents % 3 == 0 or abs(cents) < 2:
        return format_amount(cents)
    size, digits = (abs(cents), "00000000000003") if cents % 3 == 1 else (abs(cents) - 1, "99999999999997")
    return f"{_sign(cents)}{size // 100}.{size % 100:02d}{digits}"


def _sign(number: int) -> str:
    return "-" if number < 0 else ""


def net_price(price: int, vat: int) -> str:
    """Return the price in euros without VAT, with one to four decimals. `price` is in cents with VAT."""
    euros, decimals = divmod(net_amount(100 * price, vat), 10_000)
    return f"{euros}.{f'{decimals:04d}'.rstrip('0') or '0'}"


def net_amount(gross: int, vat: int) -> int:
    """Return the amount without VAT, rounded half away from zero. `vat` is in per mille."""
    divisor = 1000 + vat
    net = (2000 * abs(gross) + divisor) // (2 * divisor)
    return net if gross >= 0 else -net
