"""Work in a thread that nobody waits for when the program ends: a pipe may give nothing for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from tillstream.errors import TillstreamError

TICK_S = 0.1

T = TypeVar("T")


class Stopped(TillstreamError):
    """It was told to stop before the work was done."""


async def apart(work: Callable[[], T], stop: asyncio.Event, turn: Callable[[], None] = lambda: None) -> T:
    """What the work returns or raises; `turn` is called now and then meanwhile.

    Raises `Stopped` once `stop` is set, whatever the work does then.
    """
    loop = asyncio.get_running_loop()
    coming: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not coming.done():
            set_it()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits gets it
            failed = error
            _call(loop, lambda: settle(lambda: coming.set_exception(failed)))
        else:
            _call(loop, lambda: settle(lambda: coming.set_result(result)))

    Thread(target=run, name="import", daemon=True).start()
    while not coming.done():
        await asyncio.wait({coming}, timeout=TICK_S)
        try:
            turn()
        except BaseException:
            coming.cancel()
            raise
        if stop.is_set() and not coming.done():
            coming.cancel()
            raise Stopped
    return coming.result()


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    # A closed loop means that the program ends.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(work)
