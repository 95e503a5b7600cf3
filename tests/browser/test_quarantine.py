"""The quarantine pages in a real browser: keyboard use, two languages and accessibility."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import PAGE_FITS, attention_links, serious_violations
from tests.support.processes import RunningTillstream, running_tillstream
from tests.support.receipts import body

pytestmark = pytest.mark.browser

DAY = "2026-11-23"


@pytest.fixture
def tillstream(tmp_path: Path) -> Iterator[RunningTillstream]:
    """A tillstream with three receipts and two rejected bodies. One receipt is conflicting, and one is anomalous."""
    with running_tillstream(tmp_path / "data") as tillstream:
        tillstream.post(json.dumps(body()).encode())
        tillstream.wait_for_receipts(1, DAY)
        tillstream.post(json.dumps(body(documentTotal={"grossTotal": 9})).encode())
        tillstream.post(json.dumps(body(cashReceiptID="2", settlements=[{"settlementAmount": 1}])).encode())
        # This body is valid once its media type is corrected.
        tillstream.post(b"\n".join([json.dumps(body(cashReceiptID=str(number))).encode() for number in (3, 4)]))
        tillstream.post(b"{broken")
        tillstream.wait_for_quarantine(3)
        tillstream.wait_for_receipts(2, DAY)
        yield tillstream


REPLAY = "form[action='/quarantine/replay'] button:not([formaction])"
DISCARD = "button[formaction='/quarantine/discard']"
"""The confirmation button, which is visible only while the summary is open."""


def press(page: Page, control: str) -> None:
    """Focus a control with Tab and activate it with Enter."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(control) => document.activeElement.matches(control)", control):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not reach {control}")


def decisions(page: Page, tillstream: RunningTillstream, *entries: str) -> list[str]:
    """The decisions about these entries, after the page has listed exactly these entries."""
    expect(page.locator("main tbody tr")).to_have_count(len(entries))
    for entry in entries:
        expect(page.locator(f"main tbody a[href='/quarantine/{entry}']")).to_be_visible()
    assert page.get_by_role("alert").count() == 0
    return [tillstream.get(f"/api/v1/quarantine/{entry}").json()["settled"]["decision"] for entry in entries]


def test_given_entries_when_the_keyboard_is_used_then_they_are_replayed_and_discarded(
    page: Page, tillstream: RunningTillstream
) -> None:
    broken, several = (entry["id"] for entry in tillstream.quarantine(kind="refused"))
    page.goto(f"{tillstream.dashboard}/quarantine")
    assert serious_violations(page) == []
    expect(page.locator("main tbody tr")).to_have_count(3)
    page.goto(f"{tillstream.dashboard}/quarantine/{several}")
    assert serious_violations(page) == []
    page.locator("select[name=type]").select_option("application/x-ndjson")
    press(page, REPLAY)
    assert decisions(page, tillstream, several) == ["replayed"]
    tillstream.wait_for_receipts(4, DAY)
    page.goto(f"{tillstream.dashboard}/quarantine/{broken}?lang=fr")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator(DISCARD)).to_be_hidden()
    press(page, "summary")
    press(page, DISCARD)
    assert decisions(page, tillstream, broken) == ["discarded"]
    page.goto(f"{tillstream.dashboard}/quarantine")
    expect(page.locator("main tbody tr")).to_have_count(1)
    page.locator("main tbody a").click()
    (conflict,) = tillstream.quarantine()
    fields = tillstream.get(f"/api/v1/quarantine/{conflict['id']}").json()["conflict"]["fields"]
    expect(page.locator("main tbody tr")).to_have_count(len(fields))
    differing = [each["path"] for each in fields if each["differs"]]
    assert len(differing) == 3
    expect(page.locator("main tbody tr", has_text="≠").locator("code")).to_have_text(differing)
    assert serious_violations(page) == []


def test_given_chosen_entries_when_discarded_then_the_list_is_shorter(
    page: Page, tillstream: RunningTillstream
) -> None:
    page.goto(f"{tillstream.dashboard}/quarantine?kind=refused")
    entries = [each["id"] for each in tillstream.quarantine(kind="refused")]
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.locator("summary").click()
    page.locator(DISCARD).click()
    assert decisions(page, tillstream, *entries) == ["discarded", "discarded"]
    page.locator("main a[href='/quarantine']").click()
    expect(page.locator("main tbody tr")).to_have_count(1)


def test_given_anomalous_receipts_when_the_notice_is_followed_then_their_amounts_are_shown(
    page: Page, tillstream: RunningTillstream
) -> None:
    page.goto(f"{tillstream.dashboard}/?day={DAY}")
    attention_links(page, "/anomalies").click()
    page.wait_for_url(f"**/anomalies?day={DAY}")
    for amount in ("€1.00", "€5.00"):
        expect(page.locator("main tbody").get_by_role("listitem")).to_contain_text(amount)
    assert serious_violations(page) == []


def test_given_a_phone_when_the_pages_are_shown_then_nothing_is_wider_than_the_screen(
    page: Page, tillstream: RunningTillstream
) -> None:
    page.set_viewport_size({"width": 380, "height": 800})
    entries = (f"/quarantine/{entry['id']}" for entry in tillstream.quarantine())
    for path in ("/quarantine", f"/anomalies?day={DAY}", *entries):
        page.goto(tillstream.dashboard + path)
        assert page.evaluate(PAGE_FITS) is True, path
