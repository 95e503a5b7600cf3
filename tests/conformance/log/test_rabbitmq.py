"""The conformance suite on RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pika
import pytest

from tests.conformance.log.suite import LogSuite, LoseEnd, Open
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.log.base import Log, Position
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.log import RabbitLog
from tillstream.receipt.validation import Validator


class TestRabbitLog(LogSuite):
    readers = 1

    @pytest.fixture
    def open_log(self, broker_url: str) -> Iterator[Open]:
        opened: list[Log] = []
        settings = msgspec.structs.replace(Settings(), rabbitmq_url=broker_url, rabbitmq_readers=self.readers)

        def open_log(writer: bool) -> Log:
            log = RabbitLog(settings, Validator(settings), SystemClock(), writer=writer)
            opened.append(log)
            return log

        yield open_log
        for log in opened:
            log.close()

    @pytest.fixture
    def lose_end(self, broker_url: str) -> LoseEnd:
        def lose_end(remaining: Position) -> None:
            name = topology.Generation(topology.PACKED_PARTITION).name
            with closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
                channel = connection.channel()
                channel.basic_qos(prefetch_count=100)
                found: list[tuple[Any, bytes]] = []
                channel.basic_consume(
                    name,
                    lambda _, __, properties, body: found.append((properties, body)),
                    arguments={"x-stream-offset": "first"},
                )
                connection.process_data_events(0.2)
                channel.queue_delete(name)
                channel.queue_declare(name, durable=True, arguments=topology.stream_arguments(Settings()))
                channel.confirm_delivery()
                for properties, body in found[: remaining.offsets[0] + 1]:
                    channel.basic_publish("", name, body, properties)
                channel.queue_bind(name, topology.PACKED, "1")

        return lose_end


class TestRabbitLogWithSeveralReaders(TestRabbitLog):
    readers = 3
