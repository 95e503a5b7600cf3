"""Read all receipts from the dashboard's API."""

from __future__ import annotations

from typing import Any

import httpx

PAGE = 1_000
"""The number of receipts per request."""


def all_receipts(dashboard: str, **filters: str) -> list[dict[str, Any]]:
    """All receipts, the newest first."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    with httpx.Client(base_url=dashboard, timeout=60) as client:
        while cursor is not None:
            parameters = {**filters, "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
            answer = client.get("/api/v1/receipts", params=parameters)
            answer.raise_for_status()
            page = answer.json()
            found += page["receipts"]
            cursor = page["next"]
    return found
