"""AMQP clients of the original protocol publish receipts and subscribe to receipts and figures. They work again after a
restart of the broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pika
import pytest
from pika.exceptions import AMQPError, UnroutableError

from tests.support.processes import RunningTillstream, run_check, running_tillstream
from tests.support.rabbitmq import Node, amqp_channel
from tests.support.receipts import body
from tests.support.waiting import wait_until

EXCHANGES = ("receipts", "count", "categories", "metrics-db", "metrics-storm")


class Subscriber:
    """Declares an exchange as in RabbitMQ's tutorials, and consumes a private queue."""

    def __init__(self, url: str, exchange: str) -> None:
        self._messages: list[Any] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.exchange_declare(exchange, "fanout")
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, exchange)

    def messages(self) -> list[Any]:
        """All messages received so far."""
        while (message := self._channel.basic_get(self._queue, auto_ack=True))[0]:
            self._messages.append(json.loads(message[2], parse_float=Decimal))
        return self._messages

    def last(self) -> Any:
        messages = self.messages()
        return messages[-1] if messages else None

    def close(self) -> None:
        self._connection.close()


@contextmanager
def subscribed(url: str) -> Iterator[dict[str, Subscriber]]:
    with ExitStack() as stack:
        found = {exchange: Subscriber(url, exchange) for exchange in EXCHANGES}
        for each in found.values():
            stack.callback(each.close)
        yield found


@contextmanager
def publisher(url: str) -> Iterator[Callable[[bytes], None]]:
    with amqp_channel(url) as channel:
        channel.exchange_declare("receipts", "fanout")
        yield lambda message: channel.basic_publish("receipts", "", message)


def receipt(number: int) -> bytes:
    """A receipt of today."""
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    return json.dumps(body(cashReceiptID=str(number), date=f"{today} 00:00:00")).encode()


def wait_until_published(running: RunningTillstream, subscribers: dict[str, Subscriber], count: int) -> None:
    """Wait until the API and every subscriber have the figures of `count` receipts of five euros each."""
    running.wait_for_receipts(count)
    total = {"sum": Decimal("5.00") * count, "count": count}
    wait_until(lambda: subscribers["count"].last() == total, f"{total} is published")
    wait_until(
        lambda: sum((subscribers["categories"].last() or {}).values()) == total["sum"],
        "the categories add up to the total",
    )
    wait_until(
        lambda: set(subscribers["metrics-db"].last() or ()) == {"connectionDelay", "networkDelay"},
        "the delays of the database are published",
    )
    storm = wait_until(lambda: subscribers["metrics-storm"].last(), "the figures of the processor are published")
    assert set(storm) == {"averagePerMinute", "averageMsCreation", "averageMsSystem"}
    assert 0 < storm["averagePerMinute"] <= count


def test_given_a_restart_of_the_broker_then_publishers_and_subscribers_work_again(
    tmp_path: Path, own_node: Node
) -> None:
    url, data = own_node.url(), tmp_path / "data"
    options = ("--log", "rabbitmq", "--rabbitmq-url", url)
    with running_tillstream(data, *options) as running:
        with subscribed(url) as subscribers, publisher(url) as publish:
            publish(receipt(1))
            assert running.post(receipt(2)).status_code == 202
            wait_until_published(running, subscribers, 2)
            wait_until(
                lambda: {each["cashReceiptID"] for each in subscribers["receipts"].messages()} == {"1", "2"},
                "both receipts reach the subscriber",
            )
        own_node.kill()
        own_node.start()
        # The publisher may declare the exchange before ingest binds the log to it.
        wait_until(lambda: running.post(receipt(3)).status_code == 202, "ingest accepts receipts again", 60)
        with subscribed(url) as subscribers, publisher(url) as publish:
            publish(receipt(4))
            publish(receipt(1))
            wait_until_published(running, subscribers, 4)
            wait_until(lambda: running.summary()["duplicates"] == 1, "the repeated receipt counts once")
        assert run_check(data, *options).receipts == 4


def test_an_unroutable_message_is_returned_to_a_publisher_that_requests_it(broker_url: str, tmp_path: Path) -> None:
    with amqp_channel(broker_url) as channel:
        channel.confirm_delivery()
        channel.exchange_declare("receipts", "fanout")
        with pytest.raises(UnroutableError):
            channel.basic_publish("receipts", "", receipt(1), mandatory=True)
        with running_tillstream(tmp_path / "data", "--log", "rabbitmq", "--rabbitmq-url", broker_url) as running:
            channel.basic_publish("receipts", "", receipt(1), mandatory=True)
            running.wait_for_receipts(1)


def test_a_client_that_declares_an_exchange_with_other_arguments_gets_an_error_of_the_broker(
    broker_url: str, tmp_path: Path
) -> None:
    url = broker_url
    with running_tillstream(tmp_path / "data", "--log", "rabbitmq", "--rabbitmq-url", url):
        for exchange in EXCHANGES:
            with (
                pika.BlockingConnection(pika.URLParameters(url)) as connection,
                pytest.raises(AMQPError, match="inequivalent arg"),
            ):
                connection.channel().exchange_declare(exchange, "fanout", durable=True)
