"""Record, publish and compare the messages and objects of the log on RabbitMQ."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pika

from tests.compatibility import corpus, figures, sales
from tests.support.log_file import Record
from tests.support.processes import RunningTillstream, running_tillstream, verb_output
from tests.support.rabbitmq import Node, amqp_channel
from tests.support.waiting import wait_until

RECORDED = Path(__file__).parent / "rabbitmq.json"
RECEIPTS = "receipts"
INPUTS_PER_FORMAT = 3
"""The maximum number of accepted inputs per format, and also of rejected inputs."""

FOREIGN_DAY = "2025-12-02"
FOREIGN_SOURCE = "json/amqp"
"""The source of receipts that other programs publish."""

SENTINEL = b"the end"
_HEAD = "tillstream-head"
_RECEIVED = re.compile(rb',"receivedTime":\d+\.\d{6},"receiptKey":')

Message = dict[str, Any]


@contextmanager
def channel(url: str) -> Iterator[Any]:
    """A channel with publisher confirms."""
    with amqp_channel(url) as opened:
        opened.confirm_delivery()
        yield opened


def options(url: str) -> tuple[str, ...]:
    return ("--log", "rabbitmq", "--rabbitmq-url", url)


def record(directory: Path) -> None:
    """Post receipts with a new broker, and record its messages and the figures."""
    node = Node(directory / "node")
    node.start()
    try:
        vhost = node.fresh_vhost()
        url = node.url(vhost)
        with (
            running_tillstream(directory / "data", *options(url)) as running,
            httpx.Client(base_url=running.dashboard) as client,
        ):
            subscriber = sell(running, url)
            _publish_as_another(url)
            wait_until(
                lambda: client.get("/api/v1/summary", params={"day": FOREIGN_DAY}).json()["receipts"] == 1,
                "the external receipt is counted",
            )
            wait_until(lambda: client.get("/health/ready").json().get("lag") == 0, "the engine reads all messages")
            objects = declared(node, vhost)
            today = client.get("/api/v1/summary").json()["day"]
            shown = figures.read(client, also=(today,))
            counts = client.get("/api/v1/check").json()
            assert counts["differences"] == [], counts
            assert running.stop() == 0
        streams = {each["name"]: each["arguments"] for each in objects["queues"]}
        messages = {name: dump(url, name) for name in streams}
    finally:
        node.discard()
    other = {"objects": objects, "subscriber": subscriber, "check": counts, **without_foreign(shown)}
    corpus.write_lines(RECORDED, {f"stream {name}": each for name, each in messages.items()} | other)


def sell(running: RunningTillstream, url: str) -> list[Message]:
    """Post the inputs, and return the messages that a subscriber of `receipts` gets."""
    with channel(url) as subscriber, httpx.Client(base_url=running.ingest) as client:
        queue = subscriber.queue_declare("", exclusive=True).method.queue
        subscriber.queue_bind(queue, RECEIPTS)
        for each in sales.selected_inputs(INPUTS_PER_FORMAT):
            sales.post(client, each)
        for content in (sales.receipt("1"), sales.receipt("1"), sales.receipt("1", customerID="42")):
            assert running.post(content).status_code == 202
        verb_output("generate", "--url", running.ingest, "--quiet", "--burst", 10, "--seed", 7, "--start-date", "2025-03-01",
             "--stores", 6, "--tills", 2, "--connections", 1)  # fmt: skip
        subscriber.basic_publish("", queue, SENTINEL)
        return list(_consumed(subscriber, queue))


def _publish_as_another(url: str) -> None:
    """Publish a receipt as another program does."""
    with channel(url) as other:
        other.basic_publish(RECEIPTS, "", sales.receipt("1", date=f"{FOREIGN_DAY} 10:15:00"))


# -- objects


def declared(node: Node, vhost: str) -> dict[str, Any]:
    """The durable queues, the exchanges and the bindings of a virtual host, without the predefined ones."""

    def rows_of(verb: str, *columns: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(node.control(verb, "-p", vhost, *columns, "--formatter", "json"))
        return sorted(rows, key=lambda row: [str(row[column]) for column in columns])

    queues = [each for each in rows_of("list_queues", "name", "durable", "arguments") if each["durable"]]
    exchanges = rows_of("list_exchanges", "name", "type", "durable", "auto_delete", "internal", "arguments")
    columns = ("source_name", "destination_name", "destination_kind", "routing_key", "arguments")
    known = {each["name"] for each in queues} | {each["name"] for each in exchanges}
    bindings = [each for each in rows_of("list_bindings", *columns) if each["destination_name"] in known]
    return {
        "queues": queues,
        "exchanges": [each for each in exchanges if each["name"] and not each["name"].startswith("amq.")],
        "bindings": [each for each in bindings if each["source_name"]],
    }


# -- messages


def dump(url: str, stream: str) -> list[Message]:
    """All messages of a stream, in order."""
    with channel(url) as reading:
        reading.basic_publish("", stream, SENTINEL)
        reading.basic_qos(prefetch_count=1_000)
        return list(_consumed(reading, stream, {"x-stream-offset": "first"}))


def _consumed(reading: Any, queue: str, arguments: dict[str, Any] | None = None) -> Iterator[Message]:
    """Consume the messages before the sentinel."""
    for method, properties, body in reading.consume(queue, arguments=arguments, inactivity_timeout=30.0):
        assert method is not None, f"{queue} has no further message"
        reading.basic_ack(method.delivery_tag)
        if body == SENTINEL:
            return
        yield _as_dict(method, properties, body)


def _as_dict(method: Any, properties: Any, body: bytes) -> Message:
    named = {name: value for name, value in vars(properties).items() if value is not None}
    headers = named.pop("headers", None) or {}
    offset = headers.pop("x-stream-offset", None)
    return {
        "offset": offset,
        "exchange": method.exchange,
        "routing_key": method.routing_key,
        "properties": named,
        "headers": {name: _header(value) for name, value in headers.items()},
        "body": corpus.as_json(body),
    }


def _header(value: Any) -> Any:
    """A header value for JSON. Bytes become an object, because RabbitMQ distinguishes them from text."""
    return {"bytes": corpus.as_json(value)} if isinstance(value, bytes) else value


def publish(url: str, recorded: dict[str, Any]) -> None:
    """Declare the recorded streams, and publish the recorded messages at their offsets."""
    with channel(url) as publishing:
        for queue in recorded["objects"]["queues"]:
            name = queue["name"]
            arguments = {argument: value for argument, _, value in queue["arguments"]}
            publishing.queue_declare(name, durable=True, arguments=arguments)
            for offset, message in enumerate(recorded[f"stream {name}"]):
                assert message["offset"] == offset
                headers = {
                    header: corpus.as_bytes(value["bytes"]) if isinstance(value, dict) else value
                    for header, value in message["headers"].items()
                }
                properties = pika.BasicProperties(headers=headers or None, **message["properties"])
                publishing.basic_publish("", name, corpus.as_bytes(message["body"]), properties)


def comparable(messages: list[Message]) -> list[Message]:
    """The messages in a fixed order, without offsets, times and random ids."""
    return sorted(map(_comparable, messages), key=json.dumps)


def _comparable(message: Message) -> Message:
    body, headers = corpus.as_bytes(message["body"]), dict(message["headers"])
    properties = {name: value for name, value in message["properties"].items() if name != "message_id"}
    content: Any
    if properties.get("content_type") == "application/octet-stream":
        content = corpus.recorded(_unpacked(body))
    else:
        content = corpus.as_json(_RECEIVED.sub(b',"receivedTime":0.0,"receiptKey":', body))
    if _HEAD in headers:
        head = corpus.as_bytes(headers[_HEAD]["bytes"])
        headers[_HEAD] = corpus.recorded(Record(head, b"", b""))["head"]
    found = {**message, "properties": properties, "headers": headers, "body": content, "offset": None}
    without: Message = corpus.without_prose(found)
    return without


def _unpacked(body: bytes) -> Record:
    """Decode a record. It has three lengths (little-endian, 32 bits), the head, the body and the original."""
    lengths = struct.unpack_from("<III", body)
    ends = (12 + sum(lengths[: count + 1]) for count in range(3))
    parts = [body[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    assert 12 + sum(lengths) == len(body)
    return Record(*parts)


def without_foreign(shown: figures.Figures) -> figures.Figures:
    """The figures without the receipts that another program published."""
    foreign = {row["key"] for row in shown["receipts"] if row["source"] == FOREIGN_SOURCE}
    metrics = shown["metrics"].items()
    return shown | {
        "summaries": {day: each for day, each in shown["summaries"].items() if day != FOREIGN_DAY},
        "metrics": {name: {day: rows for day, rows in each.items() if day != FOREIGN_DAY} for name, each in metrics},
        "receipts": [row for row in shown["receipts"] if row["key"] not in foreign],
        "receipt": {key: each for key, each in shown["receipt"].items() if key not in foreign},
    }
