"""Work in a thread returns or raises its result, unless it is stopped."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from tillstream.importing.worker_thread import Stopped, run_in_thread


def test_the_result_or_error_of_the_work_is_returned() -> None:
    async def main() -> None:
        assert await run_in_thread(lambda: 7, asyncio.Event()) == 7
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(lambda: 1 // 0, asyncio.Event())

    asyncio.run(main())


def test_work_that_never_ends_is_abandoned_after_a_stop() -> None:
    gate = Event()

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        with pytest.raises(Stopped):
            await run_in_thread(gate.wait, stop)

    asyncio.run(main())
    gate.set()


def test_an_error_in_the_tick_ends_the_wait() -> None:
    gate = Event()

    def turn() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(gate.wait, asyncio.Event(), turn)

    asyncio.run(main())
    gate.set()
