"""Runs blocking work in a daemon thread, because reading from a pipe may block forever."""

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
    """The import was stopped before the work ended."""


async def run_in_thread(work: Callable[[], T], stop: asyncio.Event, on_tick: Callable[[], None] = lambda: None) -> T:
    """Return or raise the result of `work`. Call `on_tick` every `TICK_S` seconds until then.

    Raises `Stopped` once `stop` is set. The thread is then abandoned.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(set_it: Callable[[], None]) -> None:
        if not result.done():
            set_it()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - the caller gets every error
            failure = error
            _call(loop, lambda: settle(lambda: result.set_exception(failure)))
        else:
            _call(loop, lambda: settle(lambda: result.set_result(value)))

    Thread(target=run, name="import", daemon=True).start()
    while not result.done():
        await asyncio.wait({result}, timeout=TICK_S)
        try:
            on_tick()
        except BaseException:
            result.cancel()
            raise
        if stop.is_set() and not result.done():
            result.cancel()
            raise Stopped
    return result.result()


def _call(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    # The loop is closed when the program ends.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(work)
