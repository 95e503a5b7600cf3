"""Takes the pictures in the docs: screenshots of the demo in a real browser. `make pictures` runs it."""

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
    "light": ("/", {"width": 1440, "height": 1190}, "light"),
    "dark": ("/", {"width": 1440, "height": 1190}, "dark"),
    "phone": ("/", {"width": 390, "height": 844}, "light"),
    "wall": ("/?wall=1", {"width": 1920, "height": 1080}, "light"),
    "shop": ("/shops/5", {"width": 1440, "height": 1190}, "light"),
    "receipt": ("/receipts/KEY", {"width": 1200, "height": 820}, "light"),
}
"""Address, window size and colour scheme of each picture; KEY is replaced by the key of a receipt of today."""


def main(directory: Path) -> None:
    """Write a PNG of each shot and an animation of the live page."""
    with tempfile.TemporaryDirectory() as data:
        command = ("up", "--demo", "--data", data, "--ingest-port", 0, "--dashboard-port", 0)
        with running_command(*command) as process, sync_playwright() as playwright:
            demo = RunningTillstream(process)
            process.wait_for_output(r"demo\.loaded", LOADED_S)
            # The past days arrived within seconds. A minute later the rate shows the tills alone.
            time.sleep(MINUTE_S)
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
            for name in SHOTS:
                shoot(browser, demo, name, directory)
            animate(browser, demo, directory)
            browser.close()


def shoot(browser: Browser, demo: RunningTillstream, name: str, directory: Path) -> None:
    path, size, scheme = SHOTS[name]
    key = demo.get("/api/v1/receipts?min=9&limit=1").json()["receipts"][0]["key"]
    page = opened(browser, demo, path.replace("KEY", key), size, scheme)
    save(Image.open(io.BytesIO(page.screenshot())), directory / f"{name}.png")
    page.context.close()
    print(f"{name}.png")


def opened(browser: Browser, demo: RunningTillstream, path: str, size: dict[str, int], scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(demo.dashboard + path)
    page.locator(".paper" if "receipts/" in path else "#page[data-drawn]").wait_for()
    page.wait_for_timeout(FRAME_MS)
    return page


def animate(browser: Browser, demo: RunningTillstream, directory: Path) -> None:
    page = opened(browser, demo, "/", {"width": 1200, "height": 1060}, "light")
    frames = []
    for _ in range(FRAMES):
        page.wait_for_timeout(FRAME_MS)
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((900, 795)))
    frames[0].save(
        directory / "live.webp",
        save_all=True,
        append_images=frames[1:],
        duration=FRAME_MS,
        loop=0,
        quality=70,
        method=6,
    )
    page.context.close()
    print("live.webp")


def save(picture: Image.Image, path: Path) -> None:
    """Reduce the picture to 256 colours, which suffice for the page and take a third of the space."""
    picture.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
