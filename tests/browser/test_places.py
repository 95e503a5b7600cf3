"""Navigation between pages, requests to other hosts, and scripts in receipts."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.dashboard_page import attention_links, number_pattern, open_live_page, post_receipt, tile
from tests.support.processes import RunningTillstream
from tests.support.receipts import body

pytestmark = pytest.mark.browser

SCRIPT = "<script>window.hacked = true</script>"


def test_given_receipts_of_a_past_day_when_the_page_is_open_then_a_notice_links_to_that_day(
    page: Page, tillstream: RunningTillstream
) -> None:
    open_live_page(page, tillstream)
    for number in range(3):
        post_receipt(tillstream, number, date="2017-11-18 20:39:32")
    line = attention_links(page, "/?day=2017-11-18")
    expect(line).to_have_text(number_pattern(3), timeout=5_000)
    expect(tile(page, "receipts")).to_have_text("0")
    line.click()
    page.wait_for_url("**/?day=2017-11-18")
    expect(page.locator("#revenue-title")).to_contain_text("18 Nov 2017")
    expect(page.locator("#revenue")).to_have_text("€15.00")
    expect(page.locator("#tile-receipts-per-minute")).to_be_hidden()
    expect(page.locator("#period-name")).to_contain_text("18 Nov 2017")
    page.locator("#day-after").click()
    page.wait_for_url("**/?day=2017-11-19")
    expect(tile(page, "receipts")).to_have_text("0")


def test_given_receipts_of_several_other_days_when_the_notice_is_followed_then_it_lists_them(
    page: Page, tillstream: RunningTillstream
) -> None:
    open_live_page(page, tillstream)
    post_receipt(tillstream, 1)
    post_receipt(tillstream, 2, date="2017-11-18 20:39:32")
    post_receipt(tillstream, 3, date="2017-11-19 20:39:32")
    line = attention_links(page, "/receipts?arrived=")
    expect(line).to_have_text(number_pattern(2), timeout=5_000)
    expect(attention_links(page, "/?day=2017-11-19")).to_contain_text("19 Nov 2017")
    line.click()
    page.wait_for_url("**/receipts?arrived=*")
    expect(page.locator("main tbody tr")).to_have_count(2)


def test_given_another_day_when_it_is_selected_then_all_panels_show_it_and_the_back_button_returns(
    page: Page, tillstream: RunningTillstream
) -> None:
    line = body()["lines"][0] | {"productCategoryName": "Pizza"}
    post_receipt(tillstream, 1, date="2026-11-20 10:00:00", lines=[line], documentTotal={"grossTotal": 7})
    post_receipt(tillstream, 2, date="2026-11-21 11:00:00", documentTotal={"grossTotal": 8})
    # The page of a past day gets no live updates.
    post_receipt(tillstream, 3)
    tillstream.wait_for_receipts(1)
    open_live_page(page, tillstream)
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.evaluate("() => { window.notReloaded = true; }")
    page.locator("#period").click()
    page.locator("#period-from").fill("2026-11-20")
    page.locator("#period-form button[type=submit]").click()
    expect(page.locator("#revenue")).to_have_text("€7.00")
    expect(page.locator("#categories")).to_contain_text("Pizza")
    expect(page.locator("#page")).to_have_attribute("data-live", "false")
    expect(page.locator("#freshness")).to_have_attribute("data-state", "")
    assert page.url.endswith("/?day=2026-11-20")
    page.locator("#period").click()
    page.locator("#period-to").fill("2026-11-21")
    page.locator("#period-form button[type=submit]").click()
    expect(page.locator("#revenue")).to_have_text("€15.00")
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€7.00")
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€5.00")
    assert page.evaluate("() => window.notReloaded") is True


def test_given_the_figures_of_a_receipt_when_their_links_are_followed_then_they_lead_to_the_receipt(
    page: Page, tillstream: RunningTillstream
) -> None:
    post_receipt(tillstream, 1)
    post_receipt(tillstream, 2, storeID="13", documentTotal={"grossTotal": 9})
    tillstream.wait_for_receipts(2)
    open_live_page(page, tillstream)
    page.locator("#shops a", has_text="12").click()
    page.wait_for_url("**/shops/12")
    expect(page.locator("#crumbs").get_by_role("heading")).to_have_text("12")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.locator("#tills a").first.click()
    page.wait_for_url("**/shops/12/tills/*")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.locator("#latest a").first.click()
    page.wait_for_url("**/receipts/*")
    expect(page.get_by_role("article")).to_contain_text("Baguette tradition")
    expect(page.get_by_role("article")).to_contain_text("€5.00")
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.go_back()
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€14.00")
    page.locator("#categories a").first.click()
    page.wait_for_url("**/categories/*")
    expect(page.locator("#card-products")).to_be_visible()
    page.locator("#top a").first.click()
    page.wait_for_url("**/products/*")
    expect(page.locator("#tile-quantity")).to_be_visible()


def test_given_all_pages_when_they_are_opened_then_no_other_host_gets_a_request(
    browser: Browser, shared_tillstream: RunningTillstream
) -> None:
    context = browser.new_context()
    requested: list[str] = []
    context.on("request", lambda request: requested.append(request.url))
    page = context.new_page()
    open_live_page(page, shared_tillstream)
    for path in ("/receipts", "/quarantine", "/shops", "/?day=2017-11-18", "/docs"):
        page.goto(shared_tillstream.dashboard + path, wait_until="load")
    page.locator("[data-path='/api/v1/summary']").wait_for()
    context.close()
    hosts = {urlsplit(url).netloc for url in requested if not url.startswith(("data:", "blob:"))}
    assert len(requested) > 20
    assert hosts == {urlsplit(shared_tillstream.dashboard).netloc}


def test_given_scripts_in_a_receipt_when_it_is_shown_then_they_are_shown_as_text(
    page: Page, tillstream: RunningTillstream
) -> None:
    line = body()["lines"][0] | {"productDescription": SCRIPT, "productCategoryName": SCRIPT}
    post_receipt(tillstream, 1, storeID=SCRIPT, lines=[line], note=SCRIPT)
    assert tillstream.post(json.dumps({"storeID": SCRIPT, "cashReceiptID": [SCRIPT]}).encode()).status_code == 422
    tillstream.wait_for_receipts(1)
    open_live_page(page, tillstream)
    expect(page.locator("#categories")).to_contain_text("<script>window")
    expect(page.locator("#shops")).to_contain_text("<script>window")
    expect(page.locator("#top")).to_contain_text("<script>window")
    expect(attention_links(page, "/quarantine")).to_have_text(number_pattern(1))
    page.locator("#shops a").first.click()
    expect(page.locator("#crumbs").get_by_role("heading")).to_have_text(SCRIPT)
    for path in ("/receipts", "/quarantine"):
        page.goto(tillstream.dashboard + path)
        page.locator("main tbody a").first.click()
        expect(page.locator("main pre")).to_contain_text(SCRIPT)
        assert page.evaluate("() => window.hacked === undefined") is True
