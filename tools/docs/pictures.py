"""The pictures in the docs: screenshots of the demo in a browser. `make pictures` runs this module."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.support.processes import RunningTillstream, running_command

FRAMES = 12
FRAME_MS = 900
LOADED_S = 60.0
MINUTE_S = 65.0

SHOTS = {
    "light": ("/", (1440, 1190), "light"),
    "dark": ("/", (1440, 1190), "dark"),
    "phone": ("/", (390, 844), "light"),
    "wall": ("/?wall=1", (1920, 1080), "light"),
    "shop": ("/shops/5", (1440, 1190), "light"),
    "receipt": ("/receipts/KEY", (1200, 820), "light"),
}
"""Path, window size and colour scheme of each picture. KEY stands for the key of a receipt of today."""


def main(directory: Path) -> None:
    """Write a PNG of each shot and an animation of the live page to the directory."""
    with tempfile.TemporaryDirectory() as data:
        command = ("up", "--demo", "--data", data, "--ingest-port", 0, "--dashboard-port", 0)
        with running_command(*command) as process, sync_playwright() as playwright:
            demo = RunningTillstream(process)
            process.wait_for_output(r"demo\.loaded", LOADED_S)
            # The rate of the last minute must not include the past days, which arrived within seconds.
            time.sleep(MINUTE_S)
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
            key = demo.get("/api/v1/receipts?min=9&limit=1").json()["receipts"][0]["key"]
            for name, (path, size, scheme) in SHOTS.items():
                page = open_page(browser, demo, path.replace("KEY", key), size, scheme)
                # 256 colours are enough for the page and take a third of the space.
                screenshot(page).quantize(256).save(directory / f"{name}.png", optimize=True)
                page.context.close()
            animate(browser, demo, directory)
            browser.close()


def open_page(browser: Browser, demo: RunningTillstream, path: str, size: tuple[int, int], scheme: str) -> Page:
    width, height = size
    dark = scheme == "dark"
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
    )
    page = context.new_page()
    page.goto(demo.dashboard + path)
    page.locator(".paper" if "receipts/" in path else "#page[data-drawn]").wait_for()
    page.wait_for_timeout(FRAME_MS)
    return page


def screenshot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def animate(browser: Browser, demo: RunningTillstream, directory: Path) -> None:
    page = open_page(browser, demo, "/", (1200, 1060), "light")
    frames = []
    for _ in range(FRAMES):
        page.wait_for_timeout(FRAME_MS)
        frames.append(screenshot(page).resize((900, 795)))
    file = directory / "live.webp"
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=70, method=6)
    page.context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
