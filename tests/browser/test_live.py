"""The live dashboard in a browser. It shows new receipts without a reload, with exact figures."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.dashboard_page import (
    FEED_CONTROL_SCRIPT,
    LIVE,
    STALE,
    euro_text,
    open_live_page,
    open_page,
    post_receipt,
    tile,
)
from tests.support.processes import RunningTillstream
from tests.support.waiting import wait_until

pytestmark = pytest.mark.browser

FEED = """
window.feed = async (overview, updates) => {
  for (let number = 1; number <= updates; number++) {
    overview.tiles.revenue.value = (1000 * Math.random()).toFixed(2);
    overview.tiles.receipts.value = number;
    window.emitFeedEvent("overview", overview);
    if (number % 20 === 0) await new Promise(requestAnimationFrame);
  }
};
"""

NOT_NOW = {"errors": [{"path": "", "error": "not now", "hint": "try again"}]}


def test_given_an_open_page_when_a_receipt_is_posted_then_it_appears_without_a_reload(
    page: Page, tillstream: RunningTillstream
) -> None:
    open_live_page(page, tillstream)
    page.evaluate("() => { window.notReloaded = true; }")
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#curl")).to_contain_text(f":{urlsplit(tillstream.ingest).port}/receipt")
    post_receipt(tillstream, 1)
    expect(tile(page, "receipts")).to_have_text("1", timeout=3_000)
    expect(page.locator("#revenue")).to_have_text("€5.00")
    expect(tile(page, "receipts-per-minute")).to_have_text("1")
    expect(tile(page, "delay")).to_have_text(re.compile(r"^\d[\d.]*\sm?s\b"))
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator("#categories")).to_contain_text("Sandwich Froid")
    expect(page.locator("#latest li")).to_have_count(1)
    assert page.evaluate("() => window.notReloaded") is True


def test_given_receipts_when_the_page_shows_them_then_its_figures_equal_the_summary(
    page: Page, tillstream: RunningTillstream
) -> None:
    for number in range(1, 4):
        post_receipt(
            tillstream,
            number,
            documentTotal={"grossTotal": 1234567.89, "netTotal": 1000000.01, "taxPayable": 234567.88},
        )
    summary = tillstream.wait_for_receipts(3)
    open_live_page(page, tillstream)
    expect(page.locator("#revenue")).to_have_text("€3,703,703.67")
    for element, name in (("#revenue", "revenue"), ("#net", "net"), ("#vat", "tax")):
        expect(page.locator(element)).to_have_text(euro_text(str(summary[name])))
    expect(tile(page, "average-ticket")).to_have_text(euro_text(str(summary["average_ticket"])))
    expect(tile(page, "receipts")).to_have_text(str(summary["receipts"]))
    expect(tile(page, "shops")).to_have_text(f"{summary['stores_active']} / 1")


def test_given_the_page_of_a_shop_when_a_receipt_is_posted_then_its_figures_change(
    page: Page, tillstream: RunningTillstream
) -> None:
    post_receipt(tillstream, 1)
    tillstream.wait_for_receipts(1)
    open_page(page, tillstream, "/shops/12")
    expect(tile(page, "receipts")).to_have_text("1")
    post_receipt(tillstream, 2)
    expect(tile(page, "receipts")).to_have_text("2", timeout=8_000)


def test_given_an_open_page_when_the_server_stops_then_the_page_shows_that_it_is_not_live(
    page: Page, tillstream: RunningTillstream
) -> None:
    post_receipt(tillstream, 1)
    open_live_page(page, tillstream)
    expect(tile(page, "receipts")).to_have_text("1")
    expect(page.locator("main")).to_have_css("opacity", "1")
    live_status = page.get_by_role("status").inner_text()
    assert tillstream.stop() == 0
    page.locator(STALE).wait_for(timeout=15_000)
    expect(page.get_by_role("status")).not_to_have_text(live_status)
    expect(page.locator("main")).not_to_have_css("opacity", "1")
    expect(tile(page, "receipts")).to_have_text("1")


def test_given_an_open_page_when_the_engine_is_killed_then_the_page_recovers_without_a_reload(
    page: Page, tillstream: RunningTillstream
) -> None:
    post_receipt(tillstream, 1)
    open_live_page(page, tillstream)
    tillstream.command.child("engine").kill()
    page.locator(STALE).wait_for(timeout=15_000)
    post_receipt(tillstream, 2)
    page.locator(LIVE).wait_for(timeout=30_000)
    expect(tile(page, "receipts")).to_have_text("2", timeout=30_000)


def test_given_an_open_page_when_it_gets_many_updates_then_its_memory_does_not_grow(
    page: Page, shared_tillstream: RunningTillstream
) -> None:

    page.add_init_script(FEED_CONTROL_SCRIPT + FEED)
    open_page(page, shared_tillstream)
    overview = {**shared_tillstream.get("/api/v1/overview").json(), "alerts": []}
    devtools = page.context.new_cdp_session(page)

    def memory() -> dict[str, int]:
        devtools.send("HeapProfiler.collectGarbage")
        return {**devtools.send("Memory.getDOMCounters"), "heap": devtools.send("Runtime.getHeapUsage")["usedSize"]}

    def feed(updates: int) -> None:
        page.evaluate("([overview, updates]) => window.feed(overview, updates)", [overview, updates])

    feed(200)
    before = memory()
    feed(1_000)
    assert int(page.locator("#page").get_attribute("data-drawn") or 0) > 1_200

    def has_not_grown() -> bool:
        # The browser may free removed elements only in a later garbage collection.
        after = memory()
        return (
            after["documents"] <= before["documents"]
            and after["nodes"] <= before["nodes"] + 20
            and after["jsEventListeners"] <= before["jsEventListeners"] + 5
            and after["heap"] < before["heap"] + 300_000
        )

    wait_until(has_not_grown, f"the page uses no more memory than {before}", 20)


def test_given_a_focused_or_pressed_link_when_its_list_is_redrawn_then_focus_and_click_are_kept(
    page: Page, tillstream: RunningTillstream
) -> None:
    open_live_page(page, tillstream)
    post_receipt(tillstream, 1)
    link = page.locator("#shops a", has_text="12")
    link.focus()
    post_receipt(tillstream, 2)
    expect(tile(page, "receipts")).to_have_text("2")
    expect(link).to_be_focused()
    link.hover()
    page.mouse.down()
    post_receipt(tillstream, 3)
    expect(tile(page, "receipts")).to_have_text("3")
    page.mouse.up()
    page.wait_for_url("**/shops/12")


@pytest.mark.parametrize("path", ["/shops/12", "/?day=2017-11-18"])
def test_given_an_error_event_of_the_feed_when_the_next_request_succeeds_then_the_page_shows_no_error(
    page: Page, shared_tillstream: RunningTillstream, path: str
) -> None:
    page.add_init_script(FEED_CONTROL_SCRIPT)
    page.route("**/api/v1/overview?*", lambda route: route.fulfill(status=503, json=NOT_NOW), times=1)
    page.goto(shared_tillstream.dashboard + path)
    page.locator("#page[data-drawn]").wait_for()
    stale = page.locator(STALE)
    expect(stale).to_have_count(0)
    page.evaluate("() => window.emitFeedEvent('trouble', { error: 'test' })")
    expect(stale).to_have_count(1)
    expect(stale).to_have_count(0, timeout=15_000)
