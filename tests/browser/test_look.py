"""The look of the pages: languages, colour schemes, phones, wall displays and screen readers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.support.dashboard_page import (
    FEED_CONTROL_SCRIPT,
    PAGE_FITS,
    attention_links,
    local_time_text,
    open_live_page,
    open_page,
    post_receipt,
    serious_violations,
    tile,
)
from tests.support.processes import RunningTillstream, run_command
from tests.support.receipts import body

pytestmark = pytest.mark.browser

PHONE: ViewportSize = {"width": 380, "height": 800}
ROWS = """() => ["header > *", "nav > *"].map((all) => {
  const shown = [...document.querySelectorAll(all)].filter((each) => each.matches(":not(nav)") && each.offsetHeight);
  return new Set(shown.map((each) => Math.round(each.getBoundingClientRect().top + each.offsetHeight / 2))).size;
})"""
"""A script that returns the number of rows of the header and of the navigation."""

LONG = "Boulangerie".ljust(60, "m")
LARGE = 999_999_999.99


def test_given_two_languages_when_one_is_chosen_then_every_page_is_in_that_language(
    page: Page, shared_tillstream: RunningTillstream
) -> None:
    page.goto(shared_tillstream.dashboard + "/receipts")
    heading = page.locator("main h2").inner_text()
    open_live_page(page, shared_tillstream)
    title, pages = page.locator("#revenue-title"), page.get_by_role("navigation")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    english_title, english_pages = title.inner_text(), pages.inner_text()
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("#revenue")).to_have_text("5,00\u00a0€")
    expect(title).not_to_have_text(english_title)
    expect(pages).not_to_have_text(english_pages)
    page.goto(shared_tillstream.dashboard + "/receipts")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("main h2")).not_to_have_text(heading)
    page.goto(shared_tillstream.dashboard + "/?lang=en")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(title).to_have_text(english_title)


def test_given_a_browser_in_french_when_the_page_is_opened_then_it_is_french(
    browser: Browser, shared_tillstream: RunningTillstream
) -> None:
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    open_live_page(page, shared_tillstream)
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    expect(page.locator("#revenue")).to_have_text("5,00\u00a0€")
    context.close()


def test_given_a_wall_display_when_the_page_is_shown_then_it_has_no_controls_and_larger_figures(
    page: Page, shared_tillstream: RunningTillstream
) -> None:
    open_live_page(page, shared_tillstream)
    font_size = "() => parseFloat(getComputedStyle(document.getElementById('revenue')).fontSize)"
    default_size = page.evaluate(font_size)
    open_live_page(page, shared_tillstream, "/?wall=1")
    expect(page.locator("#revenue")).to_have_text("€5.00")
    assert page.evaluate(font_size) > 1.5 * default_size
    expect(page.locator("#period")).to_be_hidden()
    expect(page.locator("#card-categories")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/", "/shops/12", "/receipts", "/receipts/KEY", "/quarantine", "/shops", "/figures/sales"]
)
def test_given_a_page_when_axe_checks_it_then_it_finds_no_serious_violation(
    browser: Browser, shared_tillstream: RunningTillstream, path: str, scheme: str
) -> None:
    key = shared_tillstream.get("/api/v1/receipts").json()["receipts"][0]["key"]
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", locale="en-GB")
    page = context.new_page()
    page.goto(shared_tillstream.dashboard + path.replace("KEY", key))
    if path in ("/", "/shops/12"):
        page.locator("#page[data-drawn]").wait_for()
    found = serious_violations(page)
    context.close()
    assert found == []


def test_given_a_phone_when_the_page_is_shown_then_nothing_is_wider_than_the_screen(
    browser: Browser, shared_tillstream: RunningTillstream
) -> None:
    post_receipt(shared_tillstream, 2, documentTotal={"grossTotal": 999999999.99})
    shared_tillstream.wait_for_receipts(2)
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=PHONE, color_scheme=scheme)
        page = context.new_page()
        open_live_page(page, shared_tillstream)
        expect(page.locator("#revenue")).to_have_text("€1,000,000,004.99")
        expect(tile(page, "average-ticket")).to_have_text("€500,000,002.50")
        assert page.evaluate(PAGE_FITS) is True
        context.close()


@pytest.fixture
def tillstream_with_long_names(tillstream: RunningTillstream, tmp_path: Path) -> RunningTillstream:
    """A tillstream whose names have 60 letters and no spaces, and whose amounts are as large as possible."""
    stores = tmp_path / "stores.csv"
    stores.write_text(f"id,name,city,region\n12,{LONG},{LONG},{LONG}\n")
    code, output = run_command("stores", "import", stores, "--data", tmp_path / "data")
    assert code == 0, output
    line = {**body()["lines"][0], "productCategoryName": LONG, "productDescription": LONG, "productCode": LONG}
    line |= {"quantity": 1, "unitPrice": LARGE, "creditAmount": LARGE, "settlementAmount": LARGE}
    receipt = {
        "date": local_time_text(),
        "terminalID": LONG,
        "customerID": LONG,
        "lines": [line],
        "settlements": [{"paymentMechanism": LONG, "settlementAmount": LARGE}],
    }
    for total in (LARGE, 1):
        post_receipt(tillstream, 1, **receipt, documentTotal={"grossTotal": total})
    assert tillstream.post(json.dumps({"storeID": [LONG], LONG: LONG}).encode()).status_code == 422
    tillstream.wait_for_receipts(1)
    tillstream.wait_for_quarantine(2)
    return tillstream


@pytest.mark.parametrize("language", ["en", "fr"])
def test_given_any_desktop_width_when_the_page_is_shown_then_header_and_navigation_have_one_row_each(
    page: Page, shared_tillstream: RunningTillstream, language: str
) -> None:
    open_live_page(page, shared_tillstream, f"/?lang={language}")
    for width in (761, 861, 1181, 1361, 1600):
        page.set_viewport_size({"width": width, "height": 600})
        assert (width, page.evaluate(ROWS)) == (width, [1, 1])


def test_given_long_names_and_large_amounts_when_a_phone_shows_any_page_then_nothing_is_wider_than_the_screen(
    browser: Browser, tillstream_with_long_names: RunningTillstream
) -> None:
    key = tillstream_with_long_names.get("/api/v1/receipts").json()["receipts"][0]["key"]
    entries = tillstream_with_long_names.quarantine()
    assert {each["kind"] for each in entries} == {"refused", "conflict"}
    metrics = tillstream_with_long_names.get("/api/v1/metrics").json()["metrics"]
    live = ("", "shops/12", f"shops/12/tills/{LONG}", f"regions/{LONG}", f"categories/{LONG}", f"products/{LONG}")
    lists = ("shops", "receipts", f"receipts/{key}", "receipts?day=none", "quarantine", "quarantine?settled=1")
    more = ("anomalies", "alerts", "figures", *(f"figures/{each['name']}" for each in metrics))
    for language in ("en", "fr"):
        context = browser.new_context(viewport=PHONE, locale=language)
        page = context.new_page()
        for path in (*live, "?wall=1"):
            open_page(page, tillstream_with_long_names, f"/{path}")
            expect(page.locator("#revenue")).to_contain_text("999")
            assert page.evaluate(PAGE_FITS) is True, path
        for path in (*lists, *(f"quarantine/{each['id']}" for each in entries), *more):
            page.goto(f"{tillstream_with_long_names.dashboard}/{path}")
            assert page.evaluate(PAGE_FITS) is True, path
        page.goto(f"{tillstream_with_long_names.dashboard}/docs")
        page.locator("[data-path='/api/v1/summary']").wait_for()
        assert page.evaluate(PAGE_FITS) is True
        context.close()


def test_given_a_screen_reader_then_the_current_page_and_the_chosen_days_have_names(
    page: Page, shared_tillstream: RunningTillstream
) -> None:
    open_live_page(page, shared_tillstream)
    expect(page.locator("#nav-today")).to_have_attribute("aria-current", "page")
    open_page(page, shared_tillstream, "/?day=2017-11-18")
    expect(page.locator("#nav-today")).not_to_have_attribute("aria-current", re.compile(".*"))
    expect(page.locator("#period")).to_have_accessible_name(re.compile("18 Nov 2017.* 11 Nov 2017"))
    expect(page.locator("#period")).to_have_attribute("title", re.compile(r"\S"))
    page.locator("#language").click()
    expect(page.locator("#period")).to_have_accessible_name(re.compile("18 nov. 2017.* 11 nov. 2017"))


def test_given_several_days_when_entries_are_quarantined_then_the_link_leads_to_all_of_them(
    page: Page, shared_tillstream: RunningTillstream
) -> None:
    today = local_time_text()[:10]
    open_page(page, shared_tillstream)
    expect(attention_links(page, "/quarantine")).to_have_attribute("href", f"/quarantine?day={today}")
    open_page(page, shared_tillstream, f"/?from=2026-11-01&to={today}")
    expect(attention_links(page, "/quarantine")).to_have_attribute("href", "/quarantine")


def test_given_offsets_before_and_after_midnight_when_the_page_shows_them_then_they_are_times_of_day(
    page: Page, shared_tillstream: RunningTillstream
) -> None:
    page.add_init_script(FEED_CONTROL_SCRIPT)
    open_live_page(page, shared_tillstream)
    overview = shared_tillstream.get("/api/v1/overview").json() | {"alerts": []}
    pace = {"unit": "minute", "start": "2026-11-23T00:00", "end": 1440, "revenue": ["5.00"], "receipts": [1]}
    pace["before"] = {"offset": [], "revenue": [], "receipts": []}
    for offset, time in ((-75, "22:45"), (0, "00:00"), (615, "10:15"), (1440, "00:00")):
        pace_text = page.evaluate(
            "(overview) => { window.emitFeedEvent('overview', overview); return document.getElementById('pace').textContent; }",
            overview | {"pace": pace | {"offset": [offset], "now": offset}},
        )
        assert re.search(rf"(?<!\d){time}(?!\d)", pace_text), pace_text
