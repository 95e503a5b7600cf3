"""RabbitMQ messages of an earlier version can be read, and new messages equal the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.compatibility import broker, corpus, figures
from tests.support.processes import run_command, running_tillstream
from tests.support.rabbitmq import Node
from tests.support.waiting import wait_until

EXPECTED: dict[str, Any] = json.loads(broker.RECORDED.read_bytes())
FIGURES = {
    name: EXPECTED[name] for name in ("summaries", "metrics", "receipts", "receipt", "quarantine", "entry", "stores")
}
LOG = ("tillstream.aside", "tillstream.receipts.")


def test_recorded_messages_are_read(tmp_path: Path, broker_url: str) -> None:
    broker.publish(broker_url, EXPECTED)
    data, options = tmp_path / "data", broker.options(broker_url)
    with (
        running_tillstream(data, *options) as running,
        httpx.Client(base_url=running.dashboard, timeout=60.0) as client,
    ):
        wait_until(
            lambda: client.get("/api/v1/check").json()["records"] == EXPECTED["check"]["records"],
            "all messages are read",
        )
        assert client.get("/api/v1/check").json() == EXPECTED["check"]
        shown = broker.without_foreign(figures.read(client, also=tuple(EXPECTED["summaries"])))
        # The texts of the engine's own reasons may differ from the recorded ones.
        assert figures.differences(shown, corpus.without_prose(FIGURES), by_another_engine=True) == []
        foreign = client.get("/api/v1/summary", params={"day": broker.FOREIGN_DAY}).json()
        assert (foreign["receipts"], foreign["revenue"]) == (1, "2.40")
        assert running.stop() == 0
    code, output = run_command("check", "--data", data, *options)
    assert (code, "everything agrees" in output) == (0, True), output


def test_new_messages_and_objects_equal_the_recorded_ones(
    tmp_path: Path, node: Node, vhost: str, broker_url: str
) -> None:
    with running_tillstream(tmp_path / "data", *broker.options(broker_url)) as running:
        subscriber = broker.sell(running, broker_url)
        objects = broker.declared(node, vhost)
        assert running.stop() == 0
    assert objects == EXPECTED["objects"]
    assert broker.comparable(subscriber) == broker.comparable(EXPECTED["subscriber"])
    streams = [each["name"] for each in objects["queues"] if each["name"].startswith(LOG)]
    written = [message for name in streams for message in broker.dump(broker_url, name)]
    recorded = [message for name in streams for message in EXPECTED[f"stream {name}"] if not _is_foreign(message)]
    assert broker.comparable(written) == broker.comparable(recorded)


def _is_foreign(message: dict[str, Any]) -> bool:
    return "user_id" not in message["properties"]
