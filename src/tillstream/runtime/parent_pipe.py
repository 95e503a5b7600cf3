"""The pipe from the supervisor to a part. It carries the settings, and its end means that the supervisor died."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Thread

import msgspec

from tillstream.config.settings import Settings

GRACE_S = 1.0
"""How long a part may run after its supervisor died; then a new supervisor finds no orphans."""


def pack(settings: Settings) -> bytes:
    """The settings as the first line that the supervisor writes."""
    return msgspec.json.encode(settings) + b"\n"


def receive(descriptor: int = 0) -> Settings:
    """Read the settings from the supervisor, and no byte after them. Raises `EOFError`."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            raise EOFError("the supervisor sent no settings")
        line += byte
    return msgspec.json.decode(bytes(line), type=Settings)


def watch(on_loss: Callable[[], None], descriptor: int = 0) -> None:
    """Start a thread that waits for the supervisor's death, calls `on_loss`, and ends the process after `GRACE_S`.

    The hard end loses no receipt: every acknowledged receipt is on disk.
    """

    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        on_loss()
        time.sleep(GRACE_S)
        os._exit(1)

    Thread(target=wait, name="parent-pipe", daemon=True).start()
