"""`tillstream up` works with its log on RabbitMQ, and other clients of the broker can publish and subscribe to receipts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.support.processes import (
    assert_usage_error,
    integers_in,
    list_quarantine,
    run_check,
    run_command,
    running_role,
    running_tillstream,
)
from tests.support.rabbitmq import amqp_channel
from tests.support.receipts import RECEIPT_OF_2017
from tests.support.waiting import wait_until

EXAMPLE = json.loads(RECEIPT_OF_2017)
DAY = "2017-11-18"


@pytest.fixture
def options(broker_url: str) -> tuple[str, ...]:
    return ("--log", "rabbitmq", "--rabbitmq-url", broker_url)


@contextmanager
def client(url: str) -> Iterator[Any]:
    """The channel of another AMQP client that uses the exchange `receipts`."""
    with amqp_channel(url) as channel:
        channel.exchange_declare("receipts", "fanout")
        yield channel


def test_a_receipt_is_shown_before_and_after_a_restart(data: Path, options: tuple[str, ...]) -> None:
    with running_tillstream(data, *options) as first:
        answer = first.post(json.dumps(EXAMPLE).encode())
        assert (answer.status_code, answer.json()["day"]) == (202, DAY)
        assert first.wait_for_receipts(1, DAY)["revenue"] == "4.86"
        assert first.post(b"{").status_code == 400
        assert first.stop() == 0
    assert not (data / "log.sqlite3").exists()
    with running_tillstream(data, *options) as second:
        assert second.wait_for_receipts(1, DAY)["revenue"] == "4.86"
        second.post(json.dumps(EXAMPLE).encode())
        wait_until(lambda: second.summary()["duplicates"] == 1, "the duplicate is counted")
        assert run_check(data, *options)[:3] == (3, 1, 1)
        assert second.stop() == 0
    code, output = run_command("rebuild", "--data", data, *options)
    assert (code, integers_in(output)) == (0, [3]), output


def test_other_clients_of_the_broker_publish_and_subscribe(
    data: Path, options: tuple[str, ...], broker_url: str
) -> None:
    with running_tillstream(data, *options) as running, client(broker_url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "receipts")
        posted = running.post(json.dumps(EXAMPLE).encode()).json()
        [receipt] = wait_until(lambda: _received(channel, queue), "the subscriber has the receipt")
        assert receipt["receiptKey"] == posted["receiptKey"]
        assert isinstance(receipt.pop("receivedTime"), float)
        assert {name: value for name, value in receipt.items() if name != "receiptKey"} == EXAMPLE
        other = EXAMPLE | {"cashReceiptID": "2", "receivedTime": 1, "receiptKey": "mine"}
        channel.basic_publish("receipts", "", json.dumps(other).encode())
        channel.basic_publish("receipts", "till 7", b'{"storeID": 1}', pika.BasicProperties(app_id="a till"))
        running.wait_for_receipts(2, DAY)
        [entry] = running.wait_for_quarantine(1)
        assert "$.date" in {error["path"] for error in entry["reasons"]}
        reason = "".join(error["error"] for error in entry["reasons"])
        assert [name for name in ("'receipts'", "'till 7'", '"a till"') if name not in reason] == []
        receipts = running.get(f"/api/v1/receipts?day={DAY}").json()["receipts"]
        assert "mine" not in {each["key"] for each in receipts}


def test_quarantine_decisions_survive_a_rebuild_of_the_database(
    data: Path, options: tuple[str, ...], broker_url: str
) -> None:
    with running_tillstream(data, *options) as running, client(broker_url) as channel:
        running.post(json.dumps(EXAMPLE).encode())
        running.wait_for_receipts(1, DAY)
        for count in (1, 2):
            # The engine reads these receipts one by one, but a rebuild reads them together.
            running.post(json.dumps(EXAMPLE | {"customerID": f"another {count}"}).encode())
            running.wait_for_quarantine(count)
        channel.basic_publish("receipts", EXAMPLE["storeID"], b'{"storeID": 1}')
        running.wait_for_quarantine(3)
        assert running.post(b"{").status_code == 400
        waiting, *others = sorted(entry["id"] for entry in running.wait_for_quarantine(4))
        code, output = run_command("quarantine", "discard", *others, "--yes", "--data", data, *options)
        assert (code, integers_in(output)) == (0, [3])
        assert running.stop() == 0
    code, output = run_command("rebuild", "--data", data, *options)
    assert code == 0, output
    assert [entry["id"] for entry in list_quarantine(data, *options)] == [waiting]
    assert sorted(entry["id"] for entry in list_quarantine(data, "--settled", *options)) == others


def test_a_missing_client_library_is_reported_in_one_line(data: Path, tmp_path: Path) -> None:
    (tmp_path / "pika.py").write_text("raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)\n")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    assert_usage_error("ingest", "--log", "rabbitmq", "--data", data, naming="tillstream[rabbitmq]", PYTHONPATH=path)


def test_a_database_is_refused_with_another_log(tmp_path: Path, options: tuple[str, ...]) -> None:
    settings = {"sqlite": (), "rabbitmq": options}
    for mine, other in (("sqlite", "rabbitmq"), ("rabbitmq", "sqlite")):
        with running_role("ingest", tmp_path / mine, *settings[mine]) as (command, _):
            assert command.stop() == 0
        assert_usage_error("ingest", "--data", tmp_path / mine, *settings[other], naming=f"log = {mine}")


def test_the_demo_does_not_use_the_broker(data: Path, options: tuple[str, ...]) -> None:
    assert_usage_error("up", "--demo", "--data", data, *options, naming="--log sqlite")


def _received(channel: Any, queue: str) -> list[dict[str, Any]]:
    _, _, body = channel.basic_get(queue, auto_ack=True)
    return [json.loads(body)] if body else []
