"""The dashboard in a real browser, over the real processes: what is sold is seen, at once and to the cent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.pipeline import body
from tests.support.processes import Up, up

pytestmark = pytest.mark.browser

SCRIPT = "<script>window.hacked = true</script>"
LIVE = "#freshness[data-state=live]"


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "data") as road:
        yield road


@pytest.fixture(scope="module")
def shared_road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A road with one receipt, for tests that only look."""
    with up(tmp_path_factory.mktemp("road") / "data") as road:
        sell(road, 1)
        road.post(b"{")
        road.wait_for_receipts(1)
        yield road


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


def test_given_an_open_page_when_a_receipt_is_posted_then_it_appears_without_a_reload(page: Page, road: Up) -> None:
    opened(page, road)
    page.evaluate("() => { window.opened = true; }")
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#curl")).to_contain_text(f":{urlsplit(road.ingest).port}/receipt")
    sell(road, 1)
    expect(tile(page, "receipts")).to_have_text("1", timeout=3_000)
    expect(page.locator("#revenue")).to_have_text("€5.00")
    expect(tile(page, "receipts-per-minute")).to_have_text("1")
    expect(tile(page, "delay")).to_have_text(re.compile(r"\d.*m?s p99"))
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator("#categories")).to_contain_text("Sandwich Froid")
    expect(page.locator("#latest li")).to_have_count(1)
    assert page.evaluate("() => window.opened") is True


def test_given_receipts_when_the_page_shows_them_then_its_figures_are_those_of_the_summary(
    page: Page, road: Up
) -> None:
    for number in range(1, 4):
        sell(road, number, documentTotal={"grossTotal": 1234567.89, "netTotal": 1000000.01, "taxPayable": 234567.88})
    summary = road.wait_for_receipts(3)
    opened(page, road)
    expect(page.locator("#revenue")).to_have_text("€3,703,703.67")
    for element, name in (("#revenue", "revenue"), ("#net", "net"), ("#vat", "tax")):
        expect(page.locator(element)).to_have_text(grouped(str(summary[name])))
    expect(tile(page, "average-ticket")).to_have_text(grouped(str(summary["average_ticket"])))
    expect(tile(page, "receipts")).to_have_text(str(summary["receipts"]))
    expect(tile(page, "shops")).to_have_text(f"{summary['stores_active']} / 1")


def test_given_receipts_of_2017_when_the_page_is_open_then_it_tells_of_them_and_leads_to_their_day(
    page: Page, road: Up
) -> None:
    opened(page, road)
    for number in range(3):
        sell(road, number, date="2017-11-18 20:39:32")
    line = page.locator("#look a", has_text="3 receipts arrived for other days")
    expect(line).to_be_visible(timeout=5_000)
    expect(tile(page, "receipts")).to_have_text("0")
    line.click()
    page.wait_for_url("**/?day=2017-11-18")
    expect(page.locator("#revenue-title")).to_have_text("Sales of Sat 18 Nov 2017")
    expect(page.locator("#revenue")).to_have_text("€15.00")
    expect(page.locator("#tile-receipts-per-minute")).to_be_hidden()
    expect(page.locator("#period-name")).to_have_text("Sat 18 Nov 2017")
    page.locator("#day-after").click()
    page.wait_for_url("**/?day=2017-11-19")
    expect(tile(page, "receipts")).to_have_text("0")


def test_given_receipts_of_several_other_days_when_the_notice_is_followed_then_it_lists_them(
    page: Page, road: Up
) -> None:
    opened(page, road)
    sell(road, 1)
    sell(road, 2, date="2017-11-18 20:39:32")
    sell(road, 3, date="2017-11-19 20:39:32")
    line = page.locator("#look a", has_text="2 receipts arrived for other days")
    expect(line).to_be_visible(timeout=5_000)
    expect(page.locator("#look a", has_text="Sun 19 Nov 2017")).to_be_visible()
    line.click()
    page.wait_for_url("**/receipts?arrived=*")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_given_days_when_another_is_picked_then_all_panels_follow_and_back_returns(page: Page, road: Up) -> None:
    line = body()["lines"][0] | {"productCategoryName": "Pizza"}
    sell(road, 1)
    sell(road, 2, date="2026-11-20 10:00:00", lines=[line], documentTotal={"grossTotal": 7})
    sell(road, 3, date="2026-11-21 11:00:00", documentTotal={"grossTotal": 8})
    road.wait_for_receipts(1)
    opened(page, road)
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.evaluate("() => { window.opened = true; }")
    page.locator("#period").click()
    page.locator("#period-from").fill("2026-11-20")
    page.locator("#period-form button[type=submit]").click()
    expect(page.locator("#revenue")).to_have_text("€7.00")
    expect(page.locator("#categories")).to_contain_text("Pizza")
    expect(page.locator("#freshness")).to_contain_text("Complete")
    assert page.url.endswith("/?day=2026-11-20")
    page.locator("#period").click()
    page.locator("#period-to").fill("2026-11-21")
    page.locator("#period-form button[type=submit]").click()
    expect(page.locator("#revenue")).to_have_text("€15.00")
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€7.00")
    page.go_back()
    expect(page.locator("#revenue")).to_have_text("€5.00")
    assert page.evaluate("() => window.opened") is True


def test_given_a_receipt_when_its_figures_are_followed_then_they_lead_to_it(page: Page, road: Up) -> None:
    sell(road, 1)
    sell(road, 2, storeID="13", documentTotal={"grossTotal": 9})
    road.wait_for_receipts(2)
    opened(page, road)
    page.locator("#shops a", has_text="12").click()
    page.wait_for_url("**/shops/12")
    expect(page.locator("#crumbs h1")).to_have_text("12")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.locator("#tills a").first.click()
    page.wait_for_url("**/shops/12/tills/*")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    page.locator("#latest a").first.click()
    page.wait_for_url("**/receipts/*")
    expect(page.locator(".paper")).to_contain_text("Baguette tradition")
    expect(page.locator(".paper .total")).to_contain_text("€5.00")
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


def test_given_the_page_of_a_shop_when_it_sells_then_its_figures_follow(page: Page, road: Up) -> None:
    sell(road, 1)
    road.wait_for_receipts(1)
    drawn(page, road, "/shops/12")
    expect(tile(page, "receipts")).to_have_text("1")
    sell(road, 2)
    expect(tile(page, "receipts")).to_have_text("2", timeout=8_000)


def test_given_two_languages_when_one_is_chosen_then_every_page_speaks_it(page: Page, road: Up) -> None:
    sell(road, 1)
    road.wait_for_receipts(1)
    opened(page, road)
    page.locator("#language").click()
    expect(page.locator("#revenue-title")).to_have_text("Ventes à cette heure")
    expect(page.locator("#revenue")).to_have_text("5,00\u00a0€")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.goto(road.dashboard + "/receipts")
    expect(page.locator("h2")).to_contain_text("Tickets")
    page.goto(road.dashboard + "/?lang=en")
    expect(page.locator("#revenue-title")).to_have_text("Sales so far")


def test_given_a_browser_in_french_when_the_page_is_opened_then_it_is_french(browser: Browser, road: Up) -> None:
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    opened(page, road)
    expect(page.locator("#nav-today")).to_have_text("Aujourd’hui")
    context.close()


def test_given_a_wall_when_the_page_is_shown_then_it_has_no_chrome_and_larger_figures(page: Page, road: Up) -> None:
    sell(road, 1)
    road.wait_for_receipts(1)
    opened(page, road)
    size = "() => parseFloat(getComputedStyle(document.getElementById('revenue')).fontSize)"
    usual = page.evaluate(size)
    opened(page, road, "/?wall=1")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    assert page.evaluate(size) > 1.5 * usual
    expect(page.locator("#period")).to_be_hidden()
    expect(page.locator("#card-categories")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/", "/shops/12", "/receipts", "/receipts/KEY", "/quarantine", "/shops", "/figures/sales"]
)
def test_given_a_page_when_axe_looks_at_it_then_it_finds_no_serious_fault(
    browser: Browser, shared_road: Up, path: str, scheme: str
) -> None:
    key = shared_road.get("/api/v1/receipts").json()["receipts"][0]["key"]
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", locale="en-GB")
    page = context.new_page()
    page.goto(shared_road.dashboard + path.replace("KEY", key))
    if path in ("/", "/shops/12"):
        page.locator("#page[data-drawn]").wait_for()
    found = Axe().run(page).response["violations"]
    context.close()
    serious = [
        (each["id"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_given_the_pages_when_they_are_used_then_no_other_host_is_asked(browser: Browser, road: Up) -> None:
    sell(road, 1)
    road.wait_for_receipts(1)
    context = browser.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    opened(page, road)
    for path in ("/receipts", "/quarantine", "/shops", "/?day=2017-11-18", "/docs"):
        page.goto(road.dashboard + path, wait_until="load")
    page.locator(".opblock").first.wait_for()
    context.close()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert len(asked) > 20
    assert hosts == {urlsplit(road.dashboard).netloc}


def test_given_an_open_page_when_the_server_stops_then_the_page_says_that_it_is_not_live(page: Page, road: Up) -> None:
    sell(road, 1)
    opened(page, road)
    expect(tile(page, "receipts")).to_have_text("1")
    assert road.stop() == 0
    expect(page.locator("#freshness")).to_have_attribute("data-state", "stale", timeout=15_000)
    expect(page.locator("#freshness")).to_contain_text("Not live")
    expect(page.locator("#page")).to_have_class(re.compile("stale"))
    expect(tile(page, "receipts")).to_have_text("1")


def test_given_an_open_page_when_the_engine_is_killed_then_it_comes_back_by_itself(page: Page, road: Up) -> None:
    sell(road, 1)
    opened(page, road)
    road.command.part("engine").kill()
    expect(page.locator("#freshness")).to_have_attribute("data-state", "stale", timeout=15_000)
    sell(road, 2)
    page.locator(LIVE).wait_for(timeout=30_000)
    expect(tile(page, "receipts")).to_have_text("2", timeout=30_000)


def test_given_scripts_in_a_receipt_when_it_is_shown_then_they_stay_text(page: Page, road: Up) -> None:
    line = body()["lines"][0] | {"productDescription": SCRIPT, "productCategoryName": SCRIPT}
    sell(road, 1, storeID=SCRIPT, lines=[line], note=SCRIPT)
    assert road.post(json.dumps({"storeID": SCRIPT, "cashReceiptID": [SCRIPT]}).encode()).status_code == 422
    road.wait_for_receipts(1)
    opened(page, road)
    expect(page.locator("#categories")).to_contain_text("<script>window")
    expect(page.locator("#shops")).to_contain_text("<script>window")
    expect(page.locator("#top")).to_contain_text("<script>window")
    expect(page.locator("#look")).to_contain_text("1 refused")
    page.locator("#shops a").first.click()
    expect(page.locator("#crumbs h1")).to_have_text(SCRIPT)
    for path, link in (("/receipts", ".list a"), ("/quarantine", ".list a")):
        page.goto(road.dashboard + path)
        page.locator(link).first.click()
        expect(page.locator("pre.original")).to_contain_text(SCRIPT)
        assert page.evaluate("() => window.hacked === undefined") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_given_a_phone_when_the_page_is_shown_then_nothing_is_wider_than_it(
    browser: Browser, road: Up, scheme: str
) -> None:
    sell(road, 1, documentTotal={"grossTotal": 999999999.99})
    road.wait_for_receipts(1)
    context = browser.new_context(
        viewport={"width": 380, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    opened(page, road)
    expect(page.locator("#revenue")).to_have_text("€999,999,999.99")
    for path in ("/", "/shops/12", "/shops", "/receipts", "/quarantine"):
        page.goto(road.dashboard + path)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth") is True, path
    context.close()
