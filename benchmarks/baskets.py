"""Receipts that vary as in a real shop: one to eight lines, hundreds of products, some of them weighed or returned."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from random import Random

from benchmarks.payload import DEFAULT_VAT, PRODUCTS, VAT, Tills
from benchmarks.writers import Receipt, parse_json

BASKETS = 5_000
LINES = range(1, 9)
LINES_WEIGHTS = (18, 24, 20, 14, 10, 6, 5, 3)

WEIGHED_SHARE = 0.05
RETURNED_SHARE = 0.01
"""The shares of weighed and of returned lines."""

TWO_PAYMENTS_SHARE = 0.15
"""The share of receipts with two payments."""

VARIANTS = 20
"""The number of articles per product, each with its own price. The n-th article sells 1/n as often as the first."""

WEIGHED_PRODUCTS = (
    ("Gougères", "Traiteur", 1_890),
    ("Sablés au beurre", "Biscuits", 2_450),
    ("Quiche", "Traiteur", 1_680),
)


_ARTICLES = [
    (f"{description} n° {variant}" if variant else description, category, cents + 15 * variant)
    for variant in range(VARIANTS)
    for description, category, cents in PRODUCTS
]
_CUMULATIVE_WEIGHTS = list(accumulate(1 / rank for rank in range(1, len(_ARTICLES) + 1)))


class Baskets:
    """Receipts of `Tills` with varying lines, totals and payments, which repeat after `BASKETS` receipts."""

    def __init__(self, tills: Tills | None = None, seed: int = 1) -> None:
        random = Random(seed)
        self._tills = tills or Tills()
        self._baskets = [_basket(random) for _ in range(BASKETS)]
        self._count = 0

    def receipt(self) -> Receipt:
        self._count += 1
        return {**parse_json(self._tills.receipt()), **self._baskets[self._count % BASKETS]}


def _basket(random: Random) -> Receipt:
    (count,) = random.choices(LINES, LINES_WEIGHTS)
    lines = [_line(random, number) for number in range(1, count + 1)]
    gross = sum((line["settlementAmount"] for line in lines), Decimal(0))
    net = sum((line["creditAmount"] for line in lines), Decimal(0))
    payments = [("CB" if random.random() < 0.7 else "Especes", gross)]
    if random.random() < TWO_PAYMENTS_SHARE and gross > 1:
        voucher = Decimal(random.randint(1, int(gross * 100) - 1)) / 100
        payments = [("Titre restaurant", voucher), (payments[0][0], gross - voucher)]
    return {
        "lines": lines,
        "documentTotal": {"grossTotal": gross, "taxPayable": gross - net, "netTotal": net},
        "settlements": [{"paymentMechanism": name, "settlementAmount": _euros(amount)} for name, amount in payments],
    }


def _line(random: Random, number: int) -> Receipt:
    weighed = random.random() < WEIGHED_SHARE
    if weighed:
        article = random.choice(WEIGHED_PRODUCTS)
    else:
        (article,) = random.choices(_ARTICLES, cum_weights=_CUMULATIVE_WEIGHTS)
    description, category, cents = article
    quantity = Decimal(random.randint(80, 900)) / 1_000 if weighed else Decimal(random.choice((1, 1, 1, 2, 2, 3)))
    if random.random() < RETURNED_SHARE:
        quantity = -quantity
    vat = Decimal(VAT.get(category, DEFAULT_VAT)) / 10
    gross = _euros(quantity * cents / 100)
    return {
        "unitOfMeasure": "kg" if weighed else "unit",
        "settlementAmount": gross,
        "creditAmount": _euros(gross / (1 + vat / 100)),
        "lineNumber": number,
        "unitPrice": _euros(Decimal(cents) / 100),
        "productCode": f"{(WEIGHED_PRODUCTS if weighed else _ARTICLES).index(article) + 1_000 * weighed:08}",
        "taxPercentage": vat,
        "productDescription": description,
        "productCategoryName": category,
        "productCategoryCode": str(len(category)),
        "quantity": quantity,
    }


def _euros(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))
