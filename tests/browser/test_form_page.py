"""Given the page of ingest in a browser; when somebody types a receipt; then it is taken, or every fault is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.support.ingest import Ingest

pytestmark = pytest.mark.browser


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path / "data")
    yield ingest
    ingest.close()


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"[name='{name}']").fill(value)


def test_a_receipt_is_typed_corrected_and_taken(ingest: Ingest, page: Page) -> None:
    page.goto(f"http://127.0.0.1:{ingest.port}/receipt")
    assert page.locator("[name=date]").input_value()
    assert Axe().run(page).response["violations"] == []
    fill(page, storeID="12", cashReceiptID="1047", date="2026-11-23T10:15:30")
    fill(page, **{"lines[0].productDescription": "Baguette", "lines[0].settlementAmount": "2,40"})
    page.get_by_role("button", name="Add a line").click()
    fill(page, **{"lines[3].settlementAmount": "one", "documentTotal.grossTotal": "3,60"})
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").get_by_role("link", name="Line 2, gross").click()
    assert page.locator("[name='lines[1].settlementAmount']").input_value() == "one"
    assert page.locator("[name=storeID]").input_value() == "12"
    assert Axe().run(page).response["violations"] == []

    fill(page, **{"lines[1].settlementAmount": "1,20"})
    page.get_by_role("button", name="Send").click()
    page.get_by_role("status").wait_for()
    assert Axe().run(page).response["violations"] == []
    refused, taken = ingest.records()
    assert (refused["kind"], taken["date"]) == ("refusal", "2026-11-23 10:15:30")
    assert taken["key"] in page.get_by_role("status").inner_text()
    lines = msgspec.json.decode(taken["body"])["lines"]
    assert [line["settlementAmount"] for line in lines] == [2.4, 1.2]


def test_without_scripts_a_receipt_of_one_line_is_typed_all_the_same(ingest: Ingest, page: Page) -> None:
    context = page.context.browser
    assert context is not None
    plain = context.new_context(java_script_enabled=False)
    typed = plain.new_page()
    typed.goto(f"http://127.0.0.1:{ingest.port}/receipt")
    fill(typed, storeID="12", cashReceiptID="1", date="2026-11-23T10:15:30")
    fill(typed, **{"lines[0].settlementAmount": "2.40", "documentTotal.grossTotal": "2.40"})
    typed.get_by_role("button", name="Send").click()
    typed.get_by_role("status").wait_for()
    plain.close()
    assert len(ingest.records()) == 1


def test_a_page_of_another_address_cannot_send_a_receipt(ingest: Ingest, page: Page, tmp_path: Path) -> None:
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<form method="post" action="http://127.0.0.1:{ingest.port}/receipt">'
        '<input name="storeID" value="12"><input name="cashReceiptID" value="1">'
        '<input name="date" value="2026-11-23 10:15:00"><input name="grossTotal" value="1"><button>Win</button></form>'
    )
    page.goto(evil.as_uri())
    page.get_by_role("button").click()
    page.get_by_role("alert").wait_for()
    assert "a page of another address sent this" in page.inner_text("main")
    assert ingest.records() == []
