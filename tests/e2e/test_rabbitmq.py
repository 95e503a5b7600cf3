"""Given a broker; when `tillstream up` keeps its log there; then it takes, shows and resumes as ever, other
clients of the broker take part, and the figures are those of the embedded log."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest

from tests.support.processes import Up, call, up
from tests.support.waiting import wait_until
from tillstream import topology
from tillstream.datadir import DataDirectory, Kind, open_directory
from tillstream.errors import DataDirectoryError, SettingsError
from tillstream.settings import Settings

EXAMPLE = json.loads((Path(__file__).parent / "receipt-of-2017.json").read_bytes())
DAY = "2017-11-18"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def options(broker_url: str) -> tuple[str, ...]:
    return ("--log", "rabbitmq", "--rabbitmq-url", broker_url)


@contextmanager
def client(url: str) -> Iterator[Any]:
    """A plain AMQP client that knows nothing but the exchange."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.exchange_declare("receipts", "fanout")
    yield channel
    connection.close()


def test_a_receipt_is_seen_and_still_there_after_a_restart(data: Path, options: tuple[str, ...]) -> None:
    with up(data, *options) as first:
        answer = first.post(json.dumps(EXAMPLE).encode())
        assert (answer.status_code, answer.json()["day"]) == (202, DAY)
        assert first.wait_for_receipts(1, DAY)["revenue"] == "4.86"
        assert first.post(b"{").status_code == 400
        assert first.stop() == 0
    assert not (data / "log.sqlite3").exists()
    with up(data, *options) as second:
        assert second.wait_for_receipts(1, DAY)["revenue"] == "4.86"
        second.post(json.dumps(EXAMPLE).encode())
        wait_until(lambda: second.summary()["duplicates"] == 1, "the duplicate is counted")
        code, said = call("check", "--data", data, *options)
        assert code == 0, said
        assert "everything agrees: 3 records of the log = 1 receipts, 1 duplicates" in said
        assert second.stop() == 0
    code, said = call("rebuild", "--data", data, *options)
    assert (code, "from 3 records of the log" in said) == (0, True), said


def test_other_clients_of_the_broker_publish_and_subscribe(
    data: Path, options: tuple[str, ...], broker_url: str
) -> None:
    with up(data, *options) as running, client(broker_url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "receipts")
        posted = running.post(json.dumps(EXAMPLE).encode()).json()
        [told] = wait_until(lambda: _taken(channel, queue), "the subscriber has the receipt")
        assert told["receiptKey"] == posted["receiptKey"]
        assert isinstance(told.pop("receivedTime"), float)
        assert {name: value for name, value in told.items() if name != "receiptKey"} == EXAMPLE
        other = EXAMPLE | {"cashReceiptID": "2", "receivedTime": 1, "receiptKey": "mine"}
        channel.basic_publish("receipts", "", json.dumps(other).encode())
        channel.basic_publish("receipts", "till 7", b'{"storeID": 1}', pika.BasicProperties(app_id="a till"))
        running.wait_for_receipts(2, DAY)
        [entry] = wait_until(lambda: _quarantine(running), "the refused message is in quarantine")
        reasons = json.dumps(entry)
        assert "$.date" in reasons
        assert "published to exchange 'receipts' with routing key 'till 7'" in reasons
        assert "a till" in reasons
        key = running.get(f"/api/v1/receipts?day={DAY}").json()["receipts"]
        assert "mine" not in {each["key"] for each in key}


def test_what_people_decided_about_the_quarantine_outlives_the_store(
    data: Path, options: tuple[str, ...], broker_url: str
) -> None:
    with up(data, *options) as running, client(broker_url) as channel:
        running.post(json.dumps(EXAMPLE).encode())
        running.wait_for_receipts(1, DAY)
        for count in (1, 2):
            # Not together: each comes in a read of its own, and in a rebuild all in one.
            running.post(json.dumps(EXAMPLE | {"customerID": f"another {count}"}).encode())
            _wait_for_entries(running, count)
        channel.basic_publish("receipts", EXAMPLE["storeID"], b'{"storeID": 1}')
        _wait_for_entries(running, 3)
        assert running.post(b"{").status_code == 400
        waiting, *others = sorted(entry["id"] for entry in _wait_for_entries(running, 4))
        assert call("quarantine", "discard", *others, "--yes", "--data", data, *options) == (0, "3 discarded\n")
        assert running.stop() == 0
    code, said = call("rebuild", "--data", data, *options)
    assert code == 0, said
    assert _listed(data, *options) == [waiting]
    assert sorted(_listed(data, "--settled", *options)) == others


def test_a_missing_client_library_is_told_in_one_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    with pytest.raises(
        SettingsError, match=r"its client library pika is missing; try: pip install 'tillstream\[rabbitmq\]'"
    ):
        topology.open_log(DataDirectory(data, Kind.REAL), Settings(log="rabbitmq"), writer=True)


def test_a_store_is_not_mixed_up_with_another_log(tmp_path: Path, broker_url: str) -> None:
    settings = {"sqlite": Settings(), "rabbitmq": Settings(log="rabbitmq", rabbitmq_url=broker_url)}
    for mine, other in (("sqlite", "rabbitmq"), ("rabbitmq", "sqlite")):
        directory = open_directory(tmp_path / mine)
        topology.open_log(directory, settings[mine], writer=True).close()
        with pytest.raises(DataDirectoryError, match=f"set log = {mine}, or name a new directory"):
            topology.open_log(directory, settings[other], writer=True)


def test_the_demo_keeps_away_from_the_broker(data: Path, options: tuple[str, ...]) -> None:
    code, said = call("up", "--demo", "--data", data, *options)
    assert code == 2
    assert "the demo would publish invented receipts to a broker of real ones; run the demo with --log sqlite" in said


def _wait_for_entries(running: Up, count: int) -> list[dict[str, Any]]:
    def come() -> list[dict[str, Any]]:
        entries = _quarantine(running)
        return entries if len(entries) == count else []

    return wait_until(come, f"{count} entries of the quarantine")


def _listed(data: Path, *arguments: str) -> list[str]:
    code, said = call("quarantine", "list", "--json", *arguments, "--data", data)
    assert code == 0, said
    return [entry["id"] for entry in json.loads(said)["entries"]]


def _taken(channel: Any, queue: str) -> list[dict[str, Any]]:
    _, _, body = channel.basic_get(queue, auto_ack=True)
    return [json.loads(body)] if body else []


def _quarantine(running: Up) -> list[dict[str, Any]]:
    answer = httpx.get(f"{running.dashboard}/api/v1/quarantine").json()
    entries: list[dict[str, Any]] = next(value for value in answer.values() if isinstance(value, list))
    return entries
