"""What others publish is checked like what comes over HTTP, and believed less."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pika
from msgspec.structs import replace

from tests.support.ingest import RECEIVED_US, encoded
from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.log.rabbitmq.external_messages import ExternalMessages
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.validation import Validator

METHOD = SimpleNamespace(exchange="receipts", routing_key="till 7")


def columns(of: bytes) -> dict[str, str]:
    return dict(zip(HEAD_COLUMNS, of.decode().removesuffix("\n").split("\t"), strict=True))


def record(body: bytes, limit_bytes: int = 1_000, **properties: object) -> tuple[dict[str, str], bytes, bytes]:
    settings = replace(Settings(), receipt_limit_bytes=limit_bytes)
    foreign = ExternalMessages(Validator(settings), ManualClock(RECEIVED_US))
    head, kept, original = foreign.record(METHOD, pika.BasicProperties(**properties), body)
    return columns(head), kept, original


def test_a_right_receipt_has_a_head_of_our_own_making() -> None:
    written = encoded(7, receivedTime=1, receiptKey="mine")
    head, body, original = record(written, headers={"tillstream-head": b"forged"})
    assert (head["kind"], head["receipt"], head["source"]) == ("receipt", "7", "json/amqp")
    assert (head["received_us"], body, original) == (str(RECEIVED_US), written, b"")
    assert len(head["key"]) == 32


def test_a_wrong_one_is_kept_with_its_faults_and_where_it_came_from() -> None:
    head, body, original = record(b'{"storeID": 1}', app_id="a till", headers={"x-stream-offset": 4, "shop": "12"})
    assert (head["kind"], body, original) == ("refusal", b"", b'{"storeID": 1}')
    faults = json.loads(head["notes"])
    assert "$.date" in {fault["path"] for fault in faults}
    assert faults[-1]["path"] == "amqp"
    assert faults[-1]["error"] == (
        "published to exchange 'receipts' with routing key 'till 7', "
        'properties {"app_id":"a till","headers":{"shop":"12"}}'
    )


def test_one_that_is_too_large_is_cut() -> None:
    head, _, original = record(encoded(1, padding="x" * 200), limit_bytes=100)
    assert len(original) == 100
    assert "the first 100 of" in head["notes"]
