"""Connections to the real broker, and logs on it with receipts of many stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any

import pika
import pytest
from msgspec.structs import replace

from tests.inprocess.clock import ManualClock
from tests.inprocess.pipeline import head
from tests.inprocess.rabbitmq_timeouts import long_broker_timeouts, production_broker_timeouts
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.log.base import Batch, Chunk
from tillstream.log.rabbitmq.connection import Connection, parameters
from tillstream.log.rabbitmq.log import RabbitLog
from tillstream.receipt.validation import Validator

__all__ = ["long_broker_timeouts", "production_broker_timeouts"]

RECEIVED_US = 1_795_431_600_000_000

Run = Callable[[Callable[[Connection], Awaitable[Any]]], Any]
OpenLog = Callable[..., RabbitLog]


@pytest.fixture
def on_broker(broker_url: str) -> Run:
    """Runs a coroutine on its own connection, in its own virtual host."""

    async def run(work: Callable[[Connection], Awaitable[Any]]) -> Any:
        connection = await Connection.open(parameters(broker_url, "test"))
        try:
            return await work(connection)
        finally:
            await connection.close("done")

    return lambda work: asyncio.run(run(work))


@pytest.fixture
def open_log(broker_url: str) -> Iterator[OpenLog]:
    """Opens logs with three partitions, and closes them at the end."""
    opened: list[RabbitLog] = []

    def open_log(*, writer: bool = True, **changes: Any) -> RabbitLog:
        settings = replace(Settings(), rabbitmq_url=broker_url, **{"rabbitmq_partitions": 3, **changes})
        opened.append(RabbitLog(settings, Validator(settings), ManualClock(RECEIVED_US), writer=writer))
        return opened[-1]

    yield open_log
    for log in opened:
        log.close()


@pytest.fixture
def channel(broker_url: str) -> Iterator[Any]:
    with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        yield connection.channel()


def receipts(first: int, count: int, *, original: bytes = b"", padding: str = "") -> Batch:
    """Receipts of 17 stores, numbered by `cashReceiptID`."""
    batch = Batch()
    for number in range(first, first + count):
        receipt = body(cashReceiptID=str(number), storeID=str(number % 17))
        written = f'{{"cashReceiptID": "{number}",\n "padding": "{padding}", "total": 0.10}} \n'.encode()
        batch.add(head(receipt, RECEIVED_US + number), written, original and original + str(number).encode())
    return batch


def records(chunks: list[Chunk]) -> list[tuple[bytes, bytes, bytes]]:
    return [record for chunk in chunks for record in zip(chunk.heads, chunk.bodies, chunk.originals, strict=True)]
