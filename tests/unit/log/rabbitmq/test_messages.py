"""Records as messages, messages as records, and messages of other programs."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.inprocess.pipeline import head
from tests.support.ingest import RECEIVED_US, encoded
from tests.support.receipts import body
from tillstream.config.settings import Settings
from tillstream.log.base import Batch
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.messages import (
    HEAD_HEADER,
    add_members,
    encode_batch,
    external_record,
    pack,
    remove_members,
    unpack,
)
from tillstream.receipt.model import HEAD_COLUMNS
from tillstream.receipt.validation import Validator

HEAD = head(body(), 1_795_431_600_123_456)
COLUMNS = HEAD.split(b"\t")
METHOD = SimpleNamespace(exchange="receipts", routing_key="till 7")


def batch(*records: tuple[bytes, bytes, bytes]) -> Batch:
    made = Batch()
    for record in records:
        made.add(*record)
    return made


def test_subscribers_get_time_and_key_after_the_members_of_the_till() -> None:
    published = add_members(b' {"receivedTime": 1,\n"x": 0.10}\n', COLUMNS)
    assert published is not None
    seen = json.loads(published)
    assert list(seen) == ["receivedTime", "x", "receiptKey"]
    assert (seen["receivedTime"], seen["receiptKey"]) == (1795431600.123456, COLUMNS[1].decode())


@given(st.binary(max_size=50), st.binary(max_size=5))
def test_added_members_are_removed_without_a_trace(inner: bytes, trailing: bytes) -> None:
    written = b"{" + inner + b"}" + trailing
    published = add_members(written, COLUMNS)
    assert published is not None
    assert remove_members(published, HEAD) == (HEAD, written, b"")


@pytest.mark.parametrize(
    ("published", "its_head"),
    [(b"{}", HEAD), (b"", HEAD), (add_members(b"{}", COLUMNS), head(body(), 1)), (b"{}", b"x\n"), (b"{}", None)],
)
def test_a_body_that_contradicts_its_head_is_invalid(published: bytes, its_head: bytes) -> None:
    assert remove_members(published, its_head) is None


def test_a_receipt_is_one_message_for_subscribers_and_the_log_routed_by_its_store() -> None:
    [message] = encode_batch(batch((HEAD, b"{}", b"")), "ingest", "b")
    assert (message.exchange, message.routing_key, message.mandatory) == ("receipts", "12", True)
    assert message.properties.headers == {HEAD_HEADER: HEAD}
    assert (message.properties.user_id, message.properties.content_type) == ("ingest", "application/json")


def test_a_receipt_with_an_original_is_a_packed_message_and_a_copy_for_subscribers() -> None:
    copy, packed = encode_batch(batch((HEAD, b'{"x": 1}', b"a;b")), "ingest", "b")
    assert (copy.exchange, copy.properties.headers, copy.mandatory) == ("receipts", {topology.COPY_HEADER: True}, False)
    assert json.loads(copy.body)["receiptKey"] == COLUMNS[1].decode()
    assert (packed.exchange, packed.mandatory, packed.properties.message_id) == (topology.PACKED, True, "b")
    assert unpack(packed.body) == (HEAD, b'{"x": 1}', b"a;b")


def test_a_refusal_is_not_published_to_subscribers() -> None:
    refusal = b"refusal\t\t1\t2026-11-23\t\t\t\t\tjson/http\t[]\n"
    [message] = encode_batch(batch((refusal, b"", b"\x00")), "ingest", "b")
    assert message.exchange == topology.PACKED


def test_a_store_name_that_is_too_long_for_a_routing_key_is_hashed() -> None:
    long = head(body(storeID="é" * 128), 1_795_431_600_123_456)
    [message] = encode_batch(batch((long, b"{}", b"")), "ingest", "b")
    assert len(message.routing_key) == 32


@pytest.mark.parametrize("packed", [b"", b"123", pack(b"a", b"b", b"c")[:-1], pack(b"a", b"b", b"c") + b"d"])
def test_a_packed_record_of_a_wrong_length_is_invalid(packed: bytes) -> None:
    assert unpack(packed) is None


def columns(of: bytes) -> dict[str, str]:
    return dict(zip(HEAD_COLUMNS, of.decode().removesuffix("\n").split("\t"), strict=True))


def external(body: bytes, limit_bytes: int = 1_000, **properties: object) -> tuple[dict[str, str], bytes, bytes]:
    settings = replace(Settings(), receipt_limit_bytes=limit_bytes)
    properties_of_pika = pika.BasicProperties(**properties)
    head, stored, original = external_record(Validator(settings), RECEIVED_US, METHOD, properties_of_pika, body)
    return columns(head), stored, original


def test_the_head_of_an_external_receipt_is_computed_and_never_copied() -> None:
    written = encoded(7, receivedTime=1, receiptKey="mine")
    head, body, original = external(written, headers={"tillstream-head": b"forged"})
    assert (head["kind"], head["receipt"], head["source"]) == ("receipt", "7", "json/amqp")
    assert (head["received_us"], body, original) == (str(RECEIVED_US), written, b"")
    assert len(head["key"]) == 32


def test_an_invalid_external_message_is_a_refusal_with_its_faults_and_origin() -> None:
    head, body, original = external(b'{"storeID": 1}', app_id="a till", headers={"x-stream-offset": 4, "shop": "12"})
    assert (head["kind"], body, original) == ("refusal", b"", b'{"storeID": 1}')
    faults = json.loads(head["notes"])
    assert "$.date" in {fault["path"] for fault in faults}
    assert faults[-1]["path"] == "amqp"
    assert faults[-1]["error"] == (
        "published to exchange 'receipts' with routing key 'till 7', "
        'properties {"app_id":"a till","headers":{"shop":"12"}}'
    )


def test_an_external_message_over_the_limit_is_cut() -> None:
    head, _, original = external(encoded(1, padding="x" * 200), limit_bytes=100)
    assert len(original) == 100
    assert "the first 100 of" in head["notes"]
