"""The dashboard's page as a browser has it: opened, sold to, and read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Locator, Page

from tests.support.pipeline import body
from tests.support.processes import Up

LIVE = "#freshness[data-state=live]"
FITS = "() => document.documentElement.scrollWidth <= innerWidth"
"""Whether nothing is wider than the page."""


def now() -> str:
    return datetime.now(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def sell(road: Up, number: int, **changes: Any) -> None:
    receipt = body(**{"cashReceiptID": str(number), "date": now(), **changes})
    answer = road.post(json.dumps(receipt).encode())
    assert answer.status_code == 202, answer.text


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"#tile-{name} .value")


def drawn(page: Page, road: Up, path: str = "/") -> None:
    """Open any part of the chain, or another day."""
    page.goto(road.dashboard + path)
    page.locator("#page[data-drawn]").wait_for()


def opened(page: Page, road: Up, path: str = "/") -> None:
    page.goto(road.dashboard + path)
    page.locator(LIVE).wait_for()


def grouped(amount: str) -> str:
    whole, _, cents = amount.partition(".")
    return f"€{int(whole):,}.{cents}"
