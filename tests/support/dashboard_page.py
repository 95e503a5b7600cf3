"""The dashboard's page as a browser has it: opened, sold to, and read."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from playwright.sync_api import Locator, Page

from tests.support.processes import RunningTillstream
from tests.support.receipts import body

LIVE = "#freshness[data-state=live]"
STALE = "#freshness[data-state=stale]"
PAGE_FITS = "() => document.documentElement.scrollWidth <= innerWidth"
"""Whether nothing is wider than the page."""

FEED_CONTROL_SCRIPT = """
const Real = window.EventSource;
window.EventSource = class extends Real {
  constructor(address) { super(address); window.source = this; }
};
window.heard = (name, data) => window.source.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
"""
"""A script for the page to begin with: `heard` then hands it events of the live feed."""


def local_time_text() -> str:
    return datetime.now(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def post_receipt(tillstream: RunningTillstream, number: int, **changes: Any) -> None:
    receipt = body(**{"cashReceiptID": str(number), "date": local_time_text(), **changes})
    answer = tillstream.post(json.dumps(receipt).encode())
    assert answer.status_code == 202, answer.text


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"#tile-{name} .value")


def open_page(page: Page, tillstream: RunningTillstream, path: str = "/") -> None:
    """Open any part of the chain, or another day."""
    page.goto(tillstream.dashboard + path)
    page.locator("#page[data-drawn]").wait_for()


def open_live_page(page: Page, tillstream: RunningTillstream, path: str = "/") -> None:
    page.goto(tillstream.dashboard + path)
    page.locator(LIVE).wait_for()


def number_pattern(number: int) -> re.Pattern[str]:
    """The text of something that counts to this number, whatever it says besides."""
    return re.compile(rf"\b{number}\b")


def attention_links(page: Page, path: str) -> Locator:
    """Links to this address, or to one that begins with it, in the list of what needs somebody."""
    return page.locator(f"#look a[href^='{path}']")


def euro_text(amount: str) -> str:
    whole, _, cents = amount.partition(".")
    return f"€{int(whole):,}.{cents}"
