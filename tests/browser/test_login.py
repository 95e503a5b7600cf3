"""The login in a browser: what a stranger sees, how one comes in, and how one leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.access import PASSWORD, set_password
from tests.support.certificate import certificate
from tests.support.page import LIVE
from tests.support.processes import Up, up
from tillstream.datadir import DataDirectory, open_directory

pytestmark = pytest.mark.browser

LIMIT_MS = 20_000
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


@dataclass(frozen=True)
class Locked:
    """A road with a password, by TLS."""

    directory: DataDirectory
    road: Up


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    folder = tmp_path_factory.mktemp("locked")
    directory = open_directory(folder / "data")
    set_password(directory)
    with up(directory.path, *certificate(folder).options) as road:
        yield Locked(directory, road)


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A browser that does not mind who signed the certificate."""
    context = browser.new_context(ignore_https_errors=True, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    yield page
    context.close()


def log_in(page: Page, password: str) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_stranger_logs_in_and_leaves(stranger: Page, locked: Locked) -> None:
    home = f"{locked.road.dashboard}/?lang=en"
    stranger.goto(home)
    expect(stranger).to_have_title("Log in · tillstream")
    log_in(stranger, "croissant")
    expect(stranger.get_by_role("alert")).to_have_text("That is not the password.")
    for scheme in SCHEMES:
        stranger.emulate_media(color_scheme=scheme)
        results = Axe().run(stranger)
        assert results.violations_count == 0, results.generate_report()
    log_in(stranger, PASSWORD)
    stranger.locator(LIVE).wait_for()
    assert stranger.url == home
    (cookie,) = (each for each in stranger.context.cookies() if each["name"] == "tillstream_session")
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Lax")
    stranger.get_by_role("button", name="Log out").click()
    expect(stranger).to_have_title("Log in · tillstream")


def test_a_page_whose_session_ends_asks_to_log_in_and_comes_back(stranger: Page, locked: Locked) -> None:
    home = f"{locked.road.dashboard}/?lang=en"
    stranger.goto(home)
    log_in(stranger, PASSWORD)
    stranger.locator(LIVE).wait_for()
    set_password(locked.directory, "tarte aux pommes")
    stranger.wait_for_url("**/login?next=*")
    log_in(stranger, "tarte aux pommes")
    stranger.locator(LIVE).wait_for()
    assert stranger.url == home
