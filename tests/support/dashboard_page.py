"""Helpers for tests that use the dashboard in a browser."""

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
"""A script that returns whether nothing is wider than the screen."""

FEED_CONTROL_SCRIPT = """
const Real = window.EventSource;
window.EventSource = class extends Real {
  constructor(address) { super(address); window.source = this; }
};
window.emitFeedEvent = (name, data) => window.source.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
"""
"""An initial script for the page. Its function `emitFeedEvent` sends the page an event of the live feed."""


def local_time_text() -> str:
    return datetime.now(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def post_receipt(tillstream: RunningTillstream, number: int, **changes: Any) -> None:
    receipt = body(**{"cashReceiptID": str(number), "date": local_time_text(), **changes})
    answer = tillstream.post(json.dumps(receipt).encode())
    assert answer.status_code == 202, answer.text


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"#tile-{name} .value")


def open_page(page: Page, tillstream: RunningTillstream, path: str = "/") -> None:
    """Open a page and wait until it is drawn."""
    page.goto(tillstream.dashboard + path)
    page.locator("#page[data-drawn]").wait_for()


def open_live_page(page: Page, tillstream: RunningTillstream, path: str = "/") -> None:
    """Open a page and wait until it gets live updates."""
    page.goto(tillstream.dashboard + path)
    page.locator(LIVE).wait_for()


def number_pattern(number: int) -> re.Pattern[str]:
    """A pattern for texts that contain this number."""
    return re.compile(rf"\b{number}\b")


def attention_links(page: Page, path: str) -> Locator:
    """Links to addresses with this prefix, in the page's list of things that need attention."""
    return page.locator(f"#look a[href^='{path}']")


def euro_text(amount: str) -> str:
    """The amount as the English page shows it."""
    whole, _, cents = amount.partition(".")
    return f"€{int(whole):,}.{cents}"
