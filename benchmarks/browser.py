"""The dashboard in headless Chromium: the time until figures are painted, and the data transferred until then."""

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
from benchmarks.harness import BenchmarkError, Plan, percentile
from benchmarks.payload import Tills, spread, today
from benchmarks.result import Figure

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
LIMIT_MS = 60_000.0
LOADS, QUICK_LOADS = 9, 3
CHANGES, QUICK_CHANGES = 30, 6
MAX_LAG_RECEIPTS = 30_000
PAINT_TARGET_MS, TRANSFER_TARGET_BYTES, CHANGE_TARGET_MS = 1_500.0, 2_000_000, 300.0

HAS_FIGURES = "() => /\\d/.test(document.getElementById('revenue')?.textContent ?? '')"
"""A script that returns whether the page shows its revenue."""

DRAWN_DAY = "() => document.getElementById('page')?.dataset.day ?? ''"
"""A script that returns the day that the page shows."""

CHANGE_DAY = """(day) => {
  document.getElementById('period-from').value = day;
  document.getElementById('period-to').value = day;
  window.__changeStart = performance.now();
  document.getElementById('period-form').dispatchEvent(new Event('submit', { cancelable: true }));
}"""
"""A script that submits the page's form for another day."""

PAINT_OBSERVER = f"""
window.__painted = null;
window.__days = [];
(() => {{
  const hasFigures = {HAS_FIGURES}, drawnDay = {DRAWN_DAY};
  let day = '';
  const check = () => {{
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
  new MutationObserver(check).observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
}})();
"""
"""A script that runs before those of the page. It records the times at which the first figures and each day were painted."""


def run(plan: Plan) -> tuple[list[Figure], dict[str, Any]]:
    """Measure the page of a day with three million receipts. Raises `BenchmarkError` if Chromium is missing."""
    if not CHROMIUM.exists():
        raise BenchmarkError(f"{CHROMIUM} is missing: `make chromium` installs it")
    loaded = today() - timedelta(days=1)
    with plan.scratch() as directory, up(directory) as system:
        _load(plan, system, loaded)
        plan.log(f"  loaded {plan.large_receipts:,} receipts of {loaded}")
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
    first = f"slowest of {len(paints_ms) - 1}; first page of the server {paints_ms[0]:.0f} ms"
    note = f"median {percentile(changes_ms, 50):.0f} ms; the day has {plan.large_receipts:,} receipts"
    return [
        Figure("time until figures are painted", paint, "ms", "<", PAINT_TARGET_MS, first),
        Figure("data transferred until then", max(transferred) / 1e6, "MB", "<", TRANSFER_TARGET_BYTES / 1e6),
        Figure("time until another day is painted, p95", change, "ms", "<", CHANGE_TARGET_MS, note),
    ]


def _load(plan: Plan, system: Up, day: date) -> None:
    count = plan.large_receipts
    loader = client.Loader(
        system.ingest, system.dashboard, Tills(spread(day, count)), str(day), count, MAX_LAG_RECEIPTS
    )
    asyncio.run(loader.run(lambda: None))
    # Without receipts of today, the page shows a welcome instead of figures.
    asyncio.run(client.sell(system.ingest, 100, 2, seed=1))


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()


def _open_page(browser: Browser, url: str) -> tuple[BrowserContext, Page, list[int]]:
    """Open a page without a cache and wait until its figures are painted. The list has the size of each transfer."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.add_init_script(PAINT_OBSERVER)
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    sizes: list[int] = []
    _record_transfers(context.new_cdp_session(page), sizes)
    page.goto(url, wait_until="commit")
    page.wait_for_function("() => window.__painted > 0")
    return context, page, sizes


def _record_transfers(session: CDPSession, sizes: list[int]) -> None:
    session.send("Network.enable")
    session.on("Network.dataReceived", lambda event: sizes.append(int(event["encodedDataLength"])))
    session.on("Network.responseReceived", lambda event: sizes.append(int(event["response"]["encodedDataLength"])))


def _loads(browser: Browser, system: Up, count: int) -> tuple[list[float], list[int]]:
    paints_ms, transferred = [], []
    for _ in range(count + 1):
        context, page, sizes = _open_page(browser, f"{system.dashboard}/")
        paints_ms.append(float(page.evaluate("() => window.__painted")))
        transferred.append(sum(sizes))
        context.close()
    return paints_ms, transferred


def _changes(browser: Browser, system: Up, loaded: date, count: int) -> list[float]:
    """Milliseconds from the selection of the loaded day until it is painted. The page shows an empty day before."""
    empty = loaded - timedelta(days=1)
    context, page, _ = _open_page(browser, f"{system.dashboard}/?day={empty}")
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
        "([before, day]) => window.__days.slice(before).find(([drawn]) => drawn === day)[1] - window.__changeStart",
        [before, str(day)],
    )
    return float(found)
