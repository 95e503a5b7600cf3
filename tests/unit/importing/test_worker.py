"""Given work in a thread; when it ends, fails or never ends; then whoever waits has it, or is stopped."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from tillstream.importing.worker import Stopped, apart


def test_what_the_work_returns_or_raises_is_had() -> None:
    async def main() -> None:
        assert await apart(lambda: 7, asyncio.Event()) == 7
        with pytest.raises(ZeroDivisionError):
            await apart(lambda: 1 // 0, asyncio.Event())

    asyncio.run(main())


def test_work_that_never_ends_is_left_when_told_to_stop() -> None:
    gate = Event()

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        with pytest.raises(Stopped):
            await apart(gate.wait, stop)

    asyncio.run(main())
    gate.set()


def test_what_is_done_meanwhile_may_end_it() -> None:
    gate = Event()

    def turn() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await apart(gate.wait, asyncio.Event(), turn)

    asyncio.run(main())
    gate.set()
