"""Receipts as canonical JSON, assembled from fields of the till, the date, and the encoded basket.

Amounts are written like tills write them: `5.96`, `0.3`, `2.0`, and in a few receipts with the noise of binary
floats, `3.3600000000000003`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from tillstream.generator.assortment import CATEGORIES
from tillstream.generator.basket import Basket, Line
from tillstream.generator.chain import Till

NOISE_SHARE = 0.02
"""Share of receipts with the noise of binary floats."""

Form = Callable[[int], str]


def format_amount(cents: int) -> str:
    """Cents as a number with one or two decimals: 596 is `5.96`, 30 is `0.3`, 200 is `2.0`."""
    whole, part = divmod(abs(cents), 100)
    text = f"{whole}.{part // 10}" if part % 10 == 0 else f"{whole}.{part:02d}"
    return text if cents >= 0 else "-" + text


def format_with_noise(cents: int) -> str:
    """The same amount with the noise of a binary float, which is less than a billionth."""
    if cents % 3 == 0 or abs(cents) < 2:
        return format_amount(cents)
    size = abs(cents) if cents % 3 == 1 else abs(cents) - 1
    tail = "00000000000003" if cents % 3 == 1 else "99999999999997"
    return f"{'-' if cents < 0 else ''}{size // 100}.{size % 100:02d}{tail}"


@cache
def net_price(price: int, rate: int) -> str:
    """The unit price in euros without VAT, with up to four decimals, from cents with VAT."""
    divisor = 1000 + rate
    size = (price * 100_000 * 2 + divisor) // (2 * divisor)
    text = f"{size // 10_000}.{size % 10_000:04d}".rstrip("0")
    return text + "0" if text.endswith(".") else text


@cache
def percent(rate: int) -> str:
    """A rate in per mille as percent: 55 is `5.5`, 100 is `10`."""
    return f"{rate / 10:g}"


@cache
def _category_code(category: str) -> int:
    return 1 + CATEGORIES.index(category)


def detail(basket: Basket, random: Random) -> bytes:
    """The JSON after the date: lines, totals, settlements, and the closing brace."""
    amount: Form = format_with_noise if random.random() < NOISE_SHARE else format_amount
    lines = ", ".join(_line(number, line, amount) for number, line in enumerate(basket.lines, 1))
    settlements = ", ".join(
        f'{{"paymentMechanism": "{mechanism}", "settlementAmount": {amount(cents)}}}'
        for mechanism, cents in basket.settlements
    )
    gross, net = basket.gross, basket.net
    total = f'"grossTotal": {amount(gross)}, "taxPayable": {amount(gross - net)}, "netTotal": {amount(net)}'
    return f'"lines": [{lines}], "documentTotal": {{{total}}}, "settlements": [{settlements}]}}'.encode()


def _line(number: int, line: Line, amount: Form) -> str:
    product = line.product
    return (
        f'{{"unitOfMeasure": "{"kg" if product.weighed else "piece"}", "settlementAmount": {amount(line.gross)}, '
        f'"creditAmount": {amount(line.net)}, "lineNumber": {number}, '
        f'"unitPrice": {net_price(product.price, line.rate)}, "productCode": "{product.code}", '
        f'"taxPercentage": {percent(line.rate)}, "productDescription": "{product.name}", '
        f'"productCategoryName": "{product.category}", "productCategoryCode": "{_category_code(product.category)}", '
        f'"quantity": {_quantity(line)}}}'
    )


def _quantity(line: Line) -> str:
    if not line.product.weighed:
        return str(line.quantity)
    grams = abs(line.quantity)
    return f"{'-' if line.quantity < 0 else ''}{grams // 1000}.{grams % 1000:03d}"


def till_fields(till: Till) -> bytes:
    """The JSON that is the same on all receipts of a till, after the receipt number."""
    text = f'", "storeID": "{till.store}", "terminalID": "{till.terminal}", "agentID": "{till.agent}", '
    return text.encode()


def assemble(number: bytes, till: bytes, customer: bytes, date: bytes, detail: bytes) -> bytes:
    """The complete receipt. `customer` is empty without a loyalty card."""
    if customer:
        return b'{"cashReceiptID": "%b%b"customerID": "%b", "date": "%b", %b' % (number, till, customer, date, detail)
    return b'{"cashReceiptID": "%b%b"date": "%b", %b' % (number, till, date, detail)
