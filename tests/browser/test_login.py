"""Login and logout in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.access import PASSWORD, set_password
from tests.support.certificate import certificate
from tests.support.dashboard_page import LIVE
from tests.support.processes import RunningTillstream, running_tillstream

pytestmark = pytest.mark.browser

LIMIT_MS = 20_000
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


@dataclass(frozen=True)
class ProtectedTillstream:
    """A tillstream with TLS and a password."""

    data: Path
    tillstream: RunningTillstream


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProtectedTillstream]:
    folder = tmp_path_factory.mktemp("protected")
    data = folder / "data"
    set_password(data)
    with running_tillstream(data, *certificate(folder).options) as tillstream:
        yield ProtectedTillstream(data, tillstream)


@pytest.fixture
def login_page(browser: Browser) -> Iterator[Page]:
    """A page in a browser that accepts the self-signed certificate."""
    context = browser.new_context(ignore_https_errors=True, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    yield page
    context.close()


def log_in(page: Page, password: str) -> int:
    """Send the password, and return the status of the answer."""
    page.locator("input[name=password]").fill(password)
    with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
        page.locator("form[action='/login'] button").click()
    return sent.value.status


def test_given_a_password_when_a_user_logs_in_and_out_then_the_session_begins_and_ends(
    login_page: Page, protected: ProtectedTillstream
) -> None:
    home = f"{protected.tillstream.dashboard}/?lang=en"
    login_page.goto(home)
    expect(login_page.locator("input[name=password]")).to_be_visible()
    assert log_in(login_page, "croissant") == 403
    expect(login_page.get_by_role("alert")).to_have_text(re.compile(r"\S"))
    for scheme in SCHEMES:
        login_page.emulate_media(color_scheme=scheme)
        results = Axe().run(login_page)
        assert results.violations_count == 0, results.generate_report()
    assert log_in(login_page, PASSWORD) == 303
    login_page.locator(LIVE).wait_for()
    assert login_page.url == home
    (cookie,) = (each for each in login_page.context.cookies() if each["name"] == "tillstream_session")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    login_page.locator("form[action='/logout'] button").click()
    expect(login_page.locator("input[name=password]")).to_be_visible()
    assert "tillstream_session" not in {each["name"] for each in login_page.context.cookies()}


def test_given_an_ended_session_when_the_user_logs_in_again_then_the_page_is_shown_again(
    login_page: Page, protected: ProtectedTillstream
) -> None:
    home = f"{protected.tillstream.dashboard}/?lang=en"
    login_page.goto(home)
    log_in(login_page, PASSWORD)
    login_page.locator(LIVE).wait_for()
    set_password(protected.data, "tarte aux pommes")
    login_page.wait_for_url("**/login?next=*")
    log_in(login_page, "tarte aux pommes")
    login_page.locator(LIVE).wait_for()
    assert login_page.url == home
