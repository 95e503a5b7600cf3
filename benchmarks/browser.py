"""The page in headless Chromium: when its first figures are painted, what that transfers, and how soon another day is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from benchmarks import client
from benchmarks.contenders import Up, up
from benchmarks.harness import CannotRun, Plan, percentile
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
LIMIT_MS = 60_000.0
LOADS, QUICK_LOADS = 9, 3
CHANGES, QUICK_CHANGES = 30, 6
AHEAD = 30_000
PAINT_TARGET_MS, TRANSFER_TARGET_BYTES, CHANGE_TARGET_MS = 1_500.0, 2_000_000, 300.0

HAS_FIGURES = "() => /\\d/.test(document.getElementById('revenue')?.textContent ?? '')"
"""What makes a paint meaningful: the first number of the page is there."""

DRAWN_DAY = "() => document.getElementById('page')?.dataset.day ?? ''"
"""The day that stands on the page once it is drawn."""

CHANGE_DAY = """(day) => {
  document.getElementById('period-from').value = day;
  document.getElementById('period-to').value = day;
  window.__began = performance.now();
  document.getElementById('period-form').dispatchEvent(new Event('submit', { cancelable: true }));
}"""
"""What choosing a day in the page's picker does, in terms of the page as it is."""

OBSERVING = f"""
window.__painted = null;
window.__days = [];
(() => {{
  const hasFigures = {HAS_FIGURES}, drawnDay = {DRAWN_DAY};
  let day = '';
  const look = () => {{
    if (window.__painted === null && hasFigures()) {{
      window.__painted = 0;
      requestAnimationFrame(() => setTimeout(() => {{ window.__painted = performance.now(); }}));
    }}
    const now = drawnDay();
    if (now !== day) {{
      day = now;
      requestAnimationFrame(() => setTimeout(() => {{ window.__days.push([now, performance.now()]); }}));
    }}
  }};
  new MutationObserver(look).observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
}})();
"""
"""Runs before the page's own scripts: notes when the first figures, and when which day, had been painted."""


def run(plan: Plan) -> tuple[list[Figure], dict[str, Any]]:
    """The figures for the page, over a day of three million receipts. Raises `CannotRun` without Chromium."""
    if not CHROMIUM.exists():
        raise CannotRun(f"{CHROMIUM} is missing: `make chromium` installs it")
    loaded = today() - timedelta(days=1)
    with plan.scratch() as directory, up(directory) as system:
        _load(plan, system, loaded)
        plan.say(f"  {plan.large_receipts:,} receipts of {loaded} are there")
        with _chromium() as browser:
            paints_ms, transferred = _loads(browser, system, QUICK_LOADS if plan.quick else LOADS)
            changes_ms = _changes(browser, system, loaded, QUICK_CHANGES if plan.quick else CHANGES)
    return _figures(plan, paints_ms, transferred, changes_ms), {
        "paints_ms": paints_ms,
        "transferred_bytes": transferred,
        "changes_ms": changes_ms,
    }


def _figures(
    plan: Plan, paints_ms: Sequence[float], transferred: Sequence[int], changes_ms: Sequence[float]
) -> list[Figure]:
    paint, change = max(paints_ms[1:]), percentile(changes_ms, 95)
    first = f"the slowest of {len(paints_ms) - 1}; the server's very first page {paints_ms[0]:.0f} ms"
    note = f"median {percentile(changes_ms, 50):.0f} ms; {plan.large_receipts:,} receipts in the day"
    return [
        Figure("first figures painted", paint, "ms", "<", PAINT_TARGET_MS, first),
        Figure("transferred until then", max(transferred) / 1e6, "MB", "<", TRANSFER_TARGET_BYTES / 1e6),
        Figure("another day redrawn, p95", change, "ms", "<", CHANGE_TARGET_MS, note),
    ]


def _load(plan: Plan, system: Up, day: date) -> None:
    count = plan.large_receipts
    loader = client.Loader(system.ingest, system.dashboard, Tills(spread(day, count)), str(day), count, AHEAD)
    asyncio.run(loader.run(lambda: None))
    # Today has some as well, so that the page shows figures and no welcome.
    asyncio.run(client.sell(system.ingest, 100, 2, seed=1))


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()


def _opened(browser: Browser, url: str) -> tuple[BrowserContext, Page, list[int]]:
    """A page of a new context, so without a cache, once its figures are painted; and the bytes that came, as they come."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.add_init_script(OBSERVING)
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    came: list[int] = []
    _count(context.new_cdp_session(page), came)
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => window.__painted > 0")
    return context, page, came


def _count(session: CDPSession, came: list[int]) -> None:
    session.send("Network.enable")
    session.on("Network.dataReceived", lambda event: came.append(int(event["encodedDataLength"])))
    session.on("Network.responseReceived", lambda event: came.append(int(event["response"]["encodedDataLength"])))


def _loads(browser: Browser, system: Up, count: int) -> tuple[list[float], list[int]]:
    paints_ms, transferred = [], []
    for _ in range(count + 1):
        context, page, came = _opened(browser, f"{system.dashboard}/")
        paints_ms.append(float(page.evaluate("() => window.__painted")))
        transferred.append(sum(came))
        context.close()
    return paints_ms, transferred


def _changes(browser: Browser, system: Up, loaded: date, count: int) -> list[float]:
    """From choosing the loaded day to its figures being painted, in ms, coming from an empty day each time."""
    empty = loaded - timedelta(days=1)
    context, page, _ = _opened(browser, f"{system.dashboard}/?day={empty}")
    changes_ms = []
    for _ in range(count):
        changes_ms.append(_change(page, loaded))
        _change(page, empty)
    context.close()
    return changes_ms


def _change(page: Page, day: date) -> float:
    page.wait_for_function("() => window.__days.length > 0")
    before = page.evaluate("() => window.__days.length")
    page.evaluate(CHANGE_DAY, str(day))
    page.wait_for_function(
        "([before, day]) => window.__days.slice(before).some(([drawn]) => drawn === day)", arg=[before, str(day)]
    )
    found = page.evaluate(
        "([before, day]) => window.__days.slice(before).find(([drawn]) => drawn === day)[1] - window.__began",
        [before, str(day)],
    )
    return float(found)
