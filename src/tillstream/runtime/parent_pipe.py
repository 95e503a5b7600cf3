"""The pipe between a supervisor and its parts: the settings come down it, and its end means that the
supervisor is gone, however it went."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Thread

import msgspec

from tillstream.config.settings import Settings

GRACE_S = 1.0
"""How long a part may take to end after its supervisor is gone, so that a new one finds no orphans."""


def pack(settings: Settings) -> bytes:
    """What the supervisor writes first: one line of JSON."""
    return msgspec.json.encode(settings) + b"\n"


def receive(descriptor: int = 0) -> Settings:
    """The settings that the supervisor sent; not one byte beyond them is read."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            raise EOFError("the supervisor sent no settings")
        line += byte
    return msgspec.json.decode(bytes(line), type=Settings)


def watch(on_loss: Callable[[], None], descriptor: int = 0) -> None:
    """Call `on_loss` from a thread of its own once the supervisor is gone; end the process soon after.

    Nothing accepted is lost by the hard end: what was acknowledged is on disk.
    """

    def wait() -> None:
        while os.read(descriptor, 1024):
            pass
        on_loss()
        time.sleep(GRACE_S)
        os._exit(1)

    Thread(target=wait, name="lifeline", daemon=True).start()
