"""Helpers for tests that use the dashboard in a browser."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

from tests.support.processes import RunningTillstream
from tests.support.receipts import body

LIVE = "#freshness[data-state=live]"
STALE = "#freshness[data-state=stale]"
PAGE_FITS = "() => document.documentElement.scrollWidth <= innerWidth"
"""A script that returns whether the page fits the width of the screen."""

FEED_CONTROL_SCRIPT = """
const Real = window.EventSource;
window.EventSource = class extends Real {
  constructor(address) { super(address); window.source = this; }
};
window.emitFeedEvent = (name, data) => window.source.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
"""
"""A script for `add_init_script`. It defines a function `emitFeedEvent` that sends an event of the live feed to the page."""


def local_time_text() -> str:
    return datetime.now(ZoneInfo("Europe/Paris")).strftime("%Y-%m-%d %H:%M:%S")


def post_receipt(tillstream: RunningTillstream, number: int, **changes: Any) -> None:
    receipt = body(**{"cashReceiptID": str(number), "date": local_time_text(), **changes})
    answer = tillstream.post(json.dumps(receipt).encode())
    assert answer.status_code == 202, answer.text


def tile(page: Page, name: str) -> Locator:
    return page.locator(f"#tile-{name} .value")


def open_page(page: Page, tillstream: RunningTillstream, path: str = "/") -> None:
    """Open a page and wait until it shows its figures."""
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
    """Links to addresses with this prefix, in the notices of the page."""
    return page.locator(f"#look a[href^='{path}']")


def euro_text(amount: str) -> str:
    """The amount as the English page shows it."""
    euros, _, cents = amount.partition(".")
    return f"€{int(euros):,}.{cents}"


def serious_violations(page: Page) -> list[tuple[str, list[str]]]:
    """The serious accessibility violations that Axe finds: the rule and the HTML of some elements."""
    return [
        (each["id"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in Axe().run(page).response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
