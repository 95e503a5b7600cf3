"""Given plain AMQP clients that know nothing but the seed's text; when the chain sells; then they publish receipts and
hear of receipts and figures, also across a restart of the broker."""

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
from tests.support.rabbitmq import Node
from tests.support.receipts import body
from tests.support.waiting import wait_until

HEARD = ("receipts", "count", "categories", "metrics-db", "metrics-storm")


class Subscriber:
    """Declares its exchange as the tutorials of RabbitMQ do, and takes what comes to a queue of its own."""

    def __init__(self, url: str, exchange: str) -> None:
        self.heard: list[Any] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.exchange_declare(exchange, "fanout")
        self._queue = self._channel.queue_declare("", exclusive=True).method.queue
        self._channel.queue_bind(self._queue, exchange)

    def hear(self) -> list[Any]:
        """All that came until now."""
        while (message := self._channel.basic_get(self._queue, auto_ack=True))[0]:
            self.heard.append(json.loads(message[2], parse_float=Decimal))
        return self.heard

    def last(self) -> Any:
        heard = self.hear()
        return heard[-1] if heard else None

    def close(self) -> None:
        self._connection.close()


@contextmanager
def subscribed(url: str) -> Iterator[dict[str, Subscriber]]:
    with ExitStack() as stack:
        found = {exchange: Subscriber(url, exchange) for exchange in HEARD}
        for each in found.values():
            stack.callback(each.close)
        yield found


@contextmanager
def publisher(url: str) -> Iterator[Callable[[bytes], None]]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.exchange_declare("receipts", "fanout")
    yield lambda message: channel.basic_publish("receipts", "", message)
    connection.close()


def receipt(number: int) -> bytes:
    """One of today: the same each time."""
    today = datetime.now(ZoneInfo("Europe/Paris")).date()
    return json.dumps(body(cashReceiptID=str(number), date=f"{today} 00:00:00")).encode()


def sold(running: RunningTillstream, heard: dict[str, Subscriber], count: int) -> None:
    """Every subscriber has heard what the page shows, of so many receipts of five euros each."""
    running.wait_for_receipts(count)
    total = {"sum": Decimal("5.00") * count, "count": count}
    wait_until(lambda: heard["count"].last() == total, f"{total} is told")
    wait_until(lambda: sum((heard["categories"].last() or {}).values()) == total["sum"], "the categories add up to it")
    wait_until(
        lambda: set(heard["metrics-db"].last() or ()) == {"connectionDelay", "networkDelay"}, "the database's delays"
    )
    storm = wait_until(lambda: heard["metrics-storm"].last(), "the processor's figures")
    assert set(storm) == {"averagePerMinute", "averageMsCreation", "averageMsSystem"}
    assert 0 < storm["averagePerMinute"] <= count


def test_the_seeds_publishers_and_subscribers_work_across_a_restart_of_the_broker(
    tmp_path: Path, own_node: Node
) -> None:
    url, data = own_node.url(), tmp_path / "data"
    options = ("--log", "rabbitmq", "--rabbitmq-url", url)
    with running_tillstream(data, *options) as running:
        with subscribed(url) as heard, publisher(url) as publish:
            publish(receipt(1))
            assert running.post(receipt(2)).status_code == 202
            sold(running, heard, 2)
            wait_until(
                lambda: {each["cashReceiptID"] for each in heard["receipts"].hear()} == {"1", "2"},
                "both receipts reach the subscriber",
            )
        own_node.kill()
        own_node.start()
        # A client that comes first declares the exchange itself, and waits until ingest has tied the log to it.
        wait_until(lambda: running.post(receipt(3)).status_code == 202, "ingest takes receipts again", 60)
        with subscribed(url) as heard, publisher(url) as publish:
            publish(receipt(4))
            publish(receipt(1))
            sold(running, heard, 4)
            wait_until(lambda: running.summary()["duplicates"] == 1, "what came twice counts once")
        assert run_check(data, *options).receipts == 4


def test_what_leads_to_no_log_comes_back_to_who_asks_for_it(broker_url: str, tmp_path: Path) -> None:
    with pika.BlockingConnection(pika.URLParameters(broker_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.exchange_declare("receipts", "fanout")
        with pytest.raises(UnroutableError):
            channel.basic_publish("receipts", "", receipt(1), mandatory=True)
        with running_tillstream(tmp_path / "data", "--log", "rabbitmq", "--rabbitmq-url", broker_url) as running:
            channel.basic_publish("receipts", "", receipt(1), mandatory=True)
            running.wait_for_receipts(1)


def test_a_client_that_declares_another_kind_is_told_by_the_broker(broker_url: str, tmp_path: Path) -> None:
    url = broker_url
    with running_tillstream(tmp_path / "data", "--log", "rabbitmq", "--rabbitmq-url", url):
        for exchange in HEARD:
            with (
                pika.BlockingConnection(pika.URLParameters(url)) as connection,
                pytest.raises(AMQPError, match="inequivalent arg"),
            ):
                connection.channel().exchange_declare(exchange, "fanout", durable=True)
