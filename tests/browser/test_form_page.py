"""The receipt form of ingest in a browser. It sends a receipt or shows all faults."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.support.processes import RunningTillstream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

DAY = "2026-11-23"
SEND = "form button:not([type=button])"
MORE_LINES = "fieldset:has(table[data-part=lines]) button[type=button]"


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"[name='{name}']").fill(value)


def test_given_a_receipt_with_a_fault_when_it_is_corrected_then_it_is_accepted(
    tillstream: RunningTillstream, page: Page
) -> None:
    page.goto(f"{tillstream.ingest}/receipt")
    assert page.locator("[name=date]").input_value()
    assert Axe().run(page).response["violations"] == []
    fill(page, storeID="12", cashReceiptID="1047", date=f"{DAY}T10:15:30")
    fill(page, **{"lines[0].productDescription": "Baguette", "lines[0].settlementAmount": "2,40"})
    page.locator(MORE_LINES).click()
    fill(page, **{"lines[3].settlementAmount": "one", "documentTotal.grossTotal": "3,60"})
    page.locator(SEND).click()
    page.get_by_role("alert").locator("a").click()
    wrong = page.locator("input:target")
    assert wrong.get_attribute("name") == "lines[1].settlementAmount"
    assert (wrong.input_value(), wrong.get_attribute("aria-invalid")) == ("one", "true")
    assert page.locator("[name=storeID]").input_value() == "12"
    assert Axe().run(page).response["violations"] == []

    fill(page, **{"lines[1].settlementAmount": "1,20"})
    page.locator(SEND).click()
    page.get_by_role("status").wait_for()
    assert Axe().run(page).response["violations"] == []
    tillstream.wait_for_receipts(1, DAY)
    (fault,) = wait_until(lambda: tillstream.quarantine(), "the rejected body is in quarantine")
    assert fault["kind"] == "refused"
    (listed,) = tillstream.get("/api/v1/receipts").json()["receipts"]
    assert listed["sold_local"] == f"{DAY}T10:15:30"
    assert listed["key"] in page.get_by_role("status").inner_text()
    lines = tillstream.get(f"/api/v1/receipts/{listed['key']}").json()["lines"]
    assert [line["gross"] for line in lines] == ["2.40", "1.20"]


def test_given_no_scripts_when_a_receipt_of_one_line_is_sent_then_it_is_accepted(
    tillstream: RunningTillstream, page: Page
) -> None:
    context = page.context.browser
    assert context is not None
    without_scripts = context.new_context(java_script_enabled=False)
    form_page = without_scripts.new_page()
    form_page.goto(f"{tillstream.ingest}/receipt")
    fill(form_page, storeID="12", cashReceiptID="1", date=f"{DAY}T10:15:30")
    fill(form_page, **{"lines[0].settlementAmount": "2.40", "documentTotal.grossTotal": "2.40"})
    form_page.locator(SEND).click()
    form_page.get_by_role("status").wait_for()
    without_scripts.close()
    assert tillstream.wait_for_receipts(1, DAY)["revenue"] == "2.40"


def test_given_a_form_of_another_origin_when_it_is_sent_then_ingest_rejects_it(
    tillstream: RunningTillstream, page: Page, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign.html"
    foreign.write_text(
        f'<form method="post" action="{tillstream.ingest}/receipt">'
        '<input name="storeID" value="12"><input name="cashReceiptID" value="1">'
        f'<input name="date" value="{DAY} 10:15:00"><input name="grossTotal" value="1"><button>Win</button></form>'
    )
    page.goto(foreign.as_uri())
    with page.expect_response(f"{tillstream.ingest}/receipt") as sent:
        page.get_by_role("button").click()
    assert sent.value.status == 403
    page.get_by_role("alert").wait_for()
    # As soon as the entry of this later body is visible, an entry of the form would be visible too.
    tillstream.post(b"{")
    wait_until(
        lambda: [each["size_bytes"] for each in tillstream.quarantine()] == [1], "only the later body is quarantined"
    )
    assert tillstream.summary(DAY)["receipts"] == 0
