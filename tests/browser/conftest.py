"""Fixtures for browser tests with Debian's Chromium. If it is missing, the tests are skipped, or fail in CI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.dashboard_page import post_receipt
from tests.support.processes import RunningTillstream, running_tillstream
from tests.support.requirements import skip_or_fail

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIMIT_MS = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    skip_or_fail("" if CHROMIUM.exists() else f"{CHROMIUM} is missing: `make debian` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page. The test fails if a script raises an error."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, color_scheme="light", locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def tillstream(tmp_path: Path) -> Iterator[RunningTillstream]:
    with running_tillstream(tmp_path / "data") as tillstream:
        yield tillstream


@pytest.fixture(scope="module")
def shared_tillstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTillstream]:
    """A tillstream with one receipt and one quarantine entry, for tests that only read."""
    with running_tillstream(tmp_path_factory.mktemp("shared") / "data") as tillstream:
        post_receipt(tillstream, 1)
        tillstream.post(b"{")
        tillstream.wait_for_receipts(1)
        yield tillstream
