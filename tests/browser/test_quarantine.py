"""What was set aside is dealt with in a real browser: with the keyboard alone, in two languages, and seen by axe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.page import FITS
from tests.support.pipeline import body
from tests.support.processes import Up, up
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

DAY = "2026-11-23"


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Up]:
    """A road on which a receipt stands, one conflicts with it, one falls short, and two were refused."""
    with up(tmp_path / "data") as road:
        road.post(json.dumps(body()).encode())
        road.wait_for_receipts(1, DAY)
        road.post(json.dumps(body(documentTotal={"grossTotal": 9})).encode())
        road.post(json.dumps(body(cashReceiptID="2", settlements=[{"settlementAmount": 1}])).encode())
        # Of the wrong type, so it is right as soon as somebody says what it is.
        road.post(b"\n".join([json.dumps(body(cashReceiptID=str(number))).encode() for number in (3, 4)]))
        road.post(b"{broken")
        wait_until(lambda: len(road.get("/api/v1/quarantine").json()["entries"]) == 3, "three entries")
        road.wait_for_receipts(2, DAY)
        yield road


def press(page: Page, name: str) -> None:
    """Reach a control with Tab and use it with Enter."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent.trim()") == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not reach {name}")


def serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["impact"] in ("serious", "critical")]


def test_given_entries_when_dealt_with_by_keyboard_then_they_are_replayed_and_discarded(page: Page, road: Up) -> None:
    entries = road.get("/api/v1/quarantine?kind=refused").json()["entries"]
    broken, several = entries[0]["id"], entries[1]["id"]
    page.goto(f"{road.dashboard}/quarantine")
    assert serious(page) == []
    expect(page.locator(".list tbody tr")).to_have_count(3)
    page.goto(f"{road.dashboard}/quarantine/{several}")
    assert serious(page) == []
    page.locator("select[name=type]").select_option("application/x-ndjson")
    press(page, "Replay")
    expect(page.locator(".list td.good")).to_have_text("replayed")
    road.wait_for_receipts(4, DAY)
    page.goto(f"{road.dashboard}/quarantine/{broken}?lang=fr")
    press(page, "Écarter…")
    press(page, "Oui, écarter")
    expect(page.locator(".list td.good")).to_have_text("discarded")
    page.goto(f"{road.dashboard}/quarantine")
    expect(page.locator(".list tbody tr")).to_have_count(1)
    page.locator(".list tbody a").click()
    expect(page.locator("td.differs")).to_have_count(12)
    assert serious(page) == []


def test_given_chosen_entries_when_discarded_then_the_list_is_shorter(page: Page, road: Up) -> None:
    page.goto(f"{road.dashboard}/quarantine?kind=refused")
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_text("Discard the chosen…").click()
    page.get_by_role("button", name="Yes, discard").click()
    expect(page.locator(".list td.good")).to_have_count(2)
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator(".list tbody tr")).to_have_count(1)


def test_given_odd_receipts_when_the_notice_is_followed_then_the_figures_are_told(page: Page, road: Up) -> None:
    page.goto(f"{road.dashboard}/?day={DAY}")
    page.locator("#look a", has_text="with an anomaly").click()
    page.wait_for_url(f"**/anomalies?day={DAY}")
    expect(page.locator(".list tbody")).to_contain_text("payments cover €1.00 of €5.00")
    assert serious(page) == []


def test_given_a_phone_when_the_pages_are_shown_then_nothing_is_wider_than_it(page: Page, road: Up) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    entries = road.get("/api/v1/quarantine").json()["entries"]
    for path in ("/quarantine", f"/anomalies?day={DAY}", *(f"/quarantine/{entry['id']}" for entry in entries)):
        page.goto(road.dashboard + path)
        assert page.evaluate(FITS) is True, path
