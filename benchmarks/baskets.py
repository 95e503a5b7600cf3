"""Receipts as different as a shop's are: one to eight lines of hundreds of articles, some weighed, some brought back."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from random import Random

from benchmarks.payload import PLAIN_VAT, PRODUCTS, VAT, Tills
from benchmarks.written import Receipt, read

BASKETS = 5_000
LINES = range(1, 9)
LINES_WEIGHTS = (18, 24, 20, 14, 10, 6, 5, 3)

# Of the lines, and of the receipts.
WEIGHED = 0.05
RETURNED = 0.01
TWO_TENDERS = 0.15

VARIANTS = 20
"""Of each product, with prices of their own; the n-th article sells 1/n as often as the first."""

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
_SOLD = list(accumulate(1 / place for place in range(1, len(_ARTICLES) + 1)))


class Baskets:
    """The receipts of `Tills`, each with lines, totals and payments of its own; drawn once, with a fixed seed."""

    def __init__(self, tills: Tills | None = None, seed: int = 1) -> None:
        random = Random(seed)
        self._tills = tills or Tills()
        self._baskets = [_basket(random) for _ in range(BASKETS)]
        self._count = 0

    def receipt(self) -> Receipt:
        self._count += 1
        return {**read(self._tills.receipt()), **self._baskets[self._count % BASKETS]}


def _basket(random: Random) -> Receipt:
    (count,) = random.choices(LINES, LINES_WEIGHTS)
    lines = [_line(random, number) for number in range(1, count + 1)]
    gross = sum((line["settlementAmount"] for line in lines), Decimal(0))
    net = sum((line["creditAmount"] for line in lines), Decimal(0))
    paid = [("CB" if random.random() < 0.7 else "Especes", gross)]
    if random.random() < TWO_TENDERS and gross > 1:
        voucher = Decimal(random.randint(1, int(gross * 100) - 1)) / 100
        paid = [("Titre restaurant", voucher), (paid[0][0], gross - voucher)]
    return {
        "lines": lines,
        "documentTotal": {"grossTotal": gross, "taxPayable": gross - net, "netTotal": net},
        "settlements": [{"paymentMechanism": name, "settlementAmount": _euros(amount)} for name, amount in paid],
    }


def _line(random: Random, number: int) -> Receipt:
    weighed = random.random() < WEIGHED
    if weighed:
        article = random.choice(WEIGHED_PRODUCTS)
    else:
        (article,) = random.choices(_ARTICLES, cum_weights=_SOLD)
    description, category, cents = article
    quantity = Decimal(random.randint(80, 900)) / 1_000 if weighed else Decimal(random.choice((1, 1, 1, 2, 2, 3)))
    if random.random() < RETURNED:
        quantity = -quantity
    vat = Decimal(VAT.get(category, PLAIN_VAT)) / 10
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
