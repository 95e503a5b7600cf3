"""Small Square orders with totals that are easy to check."""

from __future__ import annotations

import json
from typing import Any


def money(amount: int | None, currency: str | None = "EUR") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def item(
    name: str, total: int, tax: int, *, quantity: str = "1", price: int = 0, taxes: tuple[str, ...] = ("bread",)
) -> dict[str, Any]:
    """A line item or a returned item."""
    return {
        "uid": f"uid-{name}",
        "name": name,
        "quantity": quantity,
        "catalog_object_id": name.upper(),
        "base_price_money": money(price or total),
        "applied_taxes": [{"uid": f"a-{each}", "tax_uid": each} for each in taxes],
        "total_tax_money": money(tax),
        "total_money": money(total),
    }


def order(**fields: Any) -> dict[str, Any]:
    """A cash order of one baguette for 1.20 including 0.06 tax. `fields` replace fields, or remove them if they are `...`."""
    defaults: dict[str, Any] = {
        "id": "A1",
        "location_id": "L12",
        "state": "COMPLETED",
        "created_at": "2026-11-23T08:50:00Z",
        "closed_at": "2026-11-23T09:15:00.250Z",
        "line_items": [item("Baguette", 120, 6)],
        "taxes": [{"uid": "bread", "percentage": "5.5"}, {"uid": "onsite", "percentage": "10"}],
        "net_amounts": {"total_money": money(120), "tax_money": money(6), "tip_money": money(0)},
        "tenders": [{"id": "T1", "type": "CASH", "amount_money": money(120)}],
    }
    return {name: value for name, value in (defaults | fields).items() if value is not ...}


def encoded(*orders: dict[str, Any]) -> list[bytes]:
    return [json.dumps(each).encode() for each in orders]


SPLIT = order(
    line_items=[item("Menu", 1_250, 114, taxes=("onsite",)), item("Baguette", 240, 12, quantity="2", price=120)],
    total_tip_money=money(150),
    net_amounts={"total_money": money(1_640), "tax_money": money(126), "tip_money": money(150)},
    tenders=[
        {"id": "T1", "type": "CARD", "amount_money": money(1_150), "tip_money": money(150)},
        {"id": "T2", "type": "CASH", "amount_money": money(490)},
    ],
)
"""12.50 and two items of 1.20 make 14.90, including 1.26 tax. 10.00 are paid by card, with a tip of 1.50, and 4.90 in cash."""

EXCHANGE = order(
    line_items=[item("Tarte", 520, 27)],
    returns=[
        {
            "return_line_items": [item("Quiche", 700, 64, quantity="2", price=350, taxes=("back",))],
            "return_taxes": [{"uid": "back", "percentage": "10"}],
            "return_amounts": {"total_money": money(700), "tax_money": money(64)},
        }
    ],
    net_amounts={"total_money": money(-180), "tax_money": money(-37), "tip_money": money(0)},
    tenders=[],
    refunds=[
        {"id": "R1", "tender_id": "of another order", "status": "APPROVED", "amount_money": money(180)},
        {"id": "R2", "status": "REJECTED", "amount_money": money(180)},
    ],
)
"""A tarte for 5.20 in exchange for two quiches of 3.50 each: a refund of 1.80. The rejected refund has no effect."""

TABLE = order(
    line_items=[item("Plat", 1_800, 164, taxes=("onsite",))],
    service_charges=[
        {
            "name": "Service",
            "total_money": money(198),
            "total_tax_money": money(18),
            "applied_taxes": [{"tax_uid": "onsite"}],
        },
        {"name": "Spread over the lines", "total_money": money(50), "treatment_type": "APPORTIONED_TREATMENT"},
    ],
    rounding_adjustment={"name": "Arrondi", "amount_money": money(2)},
    net_amounts={"total_money": money(2_000), "tax_money": money(182), "tip_money": money(0)},
    tenders=[{"type": "CASH", "amount_money": money(2_000)}],
)
"""18.00 and 1.98 for service make 19.98, rounded to 20.00 in cash."""
