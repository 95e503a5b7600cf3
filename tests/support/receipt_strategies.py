"""Hypothesis strategies for receipts, and a comparison of a body with a receipt."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st


def valid_receipts(*, blanks: bool = True, controls: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Valid receipts with text ids and exact amounts.

    Texts, lists and objects are not empty, because CSV and forms cannot represent empty values. Without `blanks`, no text
    begins or ends with a space. Without `controls`, texts contain only characters that XML allows.
    """
    without: list[Any] = ["Cs"] if controls else ["Cs", "Cc"]
    letters = st.characters(
        codec="utf-8", exclude_categories=without, exclude_characters="" if controls else "\ufffe\uffff"
    )
    texts = st.text(letters, min_size=1, max_size=12).filter(lambda text: blanks or text == text.strip(" "))
    ids = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
    amounts = st.builds(
        lambda units, places: Decimal(units).scaleb(-places), st.integers(-(10**9), 10**9), st.integers(0, 6)
    )
    line = {
        **dict.fromkeys(["lineNumber", "productCode", "productDescription", "productCategoryCode"], texts),
        **dict.fromkeys(["productCategoryName", "unitOfMeasure", "colour"], texts),
        **dict.fromkeys(["quantity", "unitPrice", "creditAmount", "taxPercentage", "settlementAmount"], amounts),
    }
    lines = st.lists(st.fixed_dictionaries({}, optional=line).filter(bool), min_size=1, max_size=4)
    settlement = st.fixed_dictionaries({"settlementAmount": amounts}, optional={"paymentMechanism": texts})
    total = st.fixed_dictionaries({"grossTotal": amounts}, optional={"netTotal": amounts, "taxPayable": amounts})
    return st.fixed_dictionaries(
        {
            "cashReceiptID": ids,
            "storeID": ids,
            "date": st.datetimes(min_value=_FIRST, max_value=_LAST).map(lambda date: f"{date:%Y-%m-%d %H:%M:%S}"),
            "documentTotal": total,
        },
        optional={
            "terminalID": ids,
            "agentID": texts,
            "customerID": texts,
            "currency": st.just("EUR"),
            "colour": texts,
            "lines": lines,
            "settlements": st.lists(settlement, min_size=1, max_size=3),
        },
    )


Part = st.SearchStrategy[Any]


def receipt_shapes(
    *, ids: Part, dates: Part, texts: Part, amounts: Part, needed: Part, note: Part, **others: Part
) -> st.SearchStrategy[dict[str, Any]]:
    """Documents with the structure of a receipt. The parameters are strategies for its fields and may be invalid.

    `needed` are the required amounts of totals and payments. `note` is an unknown field. `others` are more fields of the
    receipt.
    """
    line = {
        **dict.fromkeys(["lineNumber", "productCode", "productDescription"], texts),
        **dict.fromkeys(["quantity", "unitPrice", "settlementAmount", "taxPercentage"], amounts),
        "note": note,
    }
    payment = st.fixed_dictionaries({"settlementAmount": needed}, optional={"paymentMechanism": texts})
    total = st.fixed_dictionaries({"grossTotal": needed}, optional={"netTotal": amounts, "note": note})
    return st.fixed_dictionaries(
        {"cashReceiptID": ids, "storeID": ids, "date": dates, "documentTotal": total},
        optional={
            "terminalID": ids,
            "customerID": texts,
            "currency": texts,
            "lines": st.lists(st.fixed_dictionaries({}, optional=line), max_size=3),
            "settlements": st.lists(payment, max_size=3),
            "note": note,
            **others,
        },
    )


def has_same_content(body: bytes, receipt: dict[str, Any]) -> bool:
    """Whether the JSON body equals the receipt, with exact texts and amounts."""
    read = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    return bool(read == receipt)


_FIRST, _LAST = datetime(2000, 1, 1), datetime(2026, 11, 1)
