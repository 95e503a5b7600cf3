"""A connection to the real broker for coroutines that want one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.inprocess.patience import impatient, patient
from tillstream.log.rabbitmq.connection import Connection, parameters

__all__ = ["impatient", "patient"]

Run = Callable[[Callable[[Connection], Awaitable[Any]]], Any]


@pytest.fixture
def on_broker(broker_url: str) -> Run:
    """Runs a coroutine on a connection of its own, in a virtual host of its own."""

    async def run(work: Callable[[Connection], Awaitable[Any]]) -> Any:
        connection = await Connection.open(parameters(broker_url, "test"))
        try:
            return await work(connection)
        finally:
            connection.end("done")
            await connection.closed

    return lambda work: asyncio.run(run(work))
