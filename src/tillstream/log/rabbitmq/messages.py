"""Conversion between records and AMQP messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from pika import BasicProperties

from tillstream.log.base import Batch, Record
from tillstream.log.rabbitmq.topology import COPY_HEADER, PACKED, RECEIPTS
from tillstream.receipt.model import HEAD_COLUMNS, RECEIPT, Fault
from tillstream.receipt.validation import ReceiptError, Validator

HEAD_HEADER = "tillstream-head"
"""The header that contains the head of the record."""

JSON = "application/json"
OCTETS = "application/octet-stream"
PERSISTENT = 2

EXTERNAL_SOURCE = "json/amqp"
SHOWN_PROPERTIES_CHARS = 2_000

_KIND, _KEY, _RECEIVED, _STORE = (HEAD_COLUMNS.index(name) for name in ("kind", "key", "received_us", "store"))
_SECOND_DIGITS = 6
_ROUTING_KEY_BYTES = 255
_LENGTHS = struct.Struct("<III")


class Message(NamedTuple):
    """A message to publish. If a mandatory message reaches no stream, `Publisher.publish` raises an error."""

    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes
    mandatory: bool


def encode_batch(batch: Batch, user: str, batch_id: str) -> Iterator[Message]:
    """Yield the messages for a batch.

    A receipt without an original becomes one message to the exchange `receipts`: its body with the added members
    `receivedTime` and `receiptKey`. Any other record becomes one message to the packed stream, which contains refusals
    and the receipts with an original. Each receipt in this stream is also published to `receipts` as a copy for
    subscribers. The log ignores this copy.

    `user` is the broker user that publishes the messages. `batch_id` identifies the batch in messages to the packed
    stream.
    """
    packed = BasicProperties(OCTETS, delivery_mode=PERSISTENT, user_id=user, message_id=batch_id)
    copy = BasicProperties(JSON, headers={COPY_HEADER: True}, delivery_mode=PERSISTENT, user_id=user)
    for head, body, original in zip(batch.heads, batch.bodies, batch.originals, strict=True):
        columns = head.split(b"\t")
        published = add_members(body, columns)
        if published is not None and not original:
            properties = BasicProperties(JSON, headers={HEAD_HEADER: head}, delivery_mode=PERSISTENT, user_id=user)
            yield Message(RECEIPTS, _routing_key(columns[_STORE]), properties, published, True)
            continue
        if published is not None:
            yield Message(RECEIPTS, _routing_key(columns[_STORE]), copy, published, False)
        yield Message(PACKED, "", packed, pack(head, body, original), True)


def _routing_key(store: bytes) -> str:
    return store.decode() if len(store) <= _ROUTING_KEY_BYTES else blake2b(store, digest_size=16).hexdigest()


def add_members(body: bytes, columns: list[bytes]) -> bytes | None:
    """Add `receivedTime` and `receiptKey` to a body. If the record is not a receipt with a key, return None.

    `columns` are the columns of the head. The new members come last. If a till sends members with the same names, most
    JSON parsers use the last ones, so a till cannot forge the new members.
    """
    end = body.rfind(b"}")
    if len(columns) != len(HEAD_COLUMNS) or columns[_KIND] != RECEIPT.encode() or end < 0 or not columns[_KEY]:
        return None
    return body[:end] + _members(columns) + body[end:]


def remove_members(published: bytes, head: object) -> Record | None:
    """Remove the added members from a message and return its record. If they do not match the head, return None."""
    if not isinstance(head, bytes) or len(columns := head.split(b"\t")) != len(HEAD_COLUMNS):
        return None
    members = _members(columns)
    end = published.rfind(b"}")
    start = end - len(members)
    if start < 0 or published[start:end] != members:
        return None
    return Record(head, published[:start] + published[end:], b"")


def _members(columns: list[bytes]) -> bytes:
    received = columns[_RECEIVED].rjust(_SECOND_DIGITS + 1, b"0")
    seconds = received[:-_SECOND_DIGITS] + b"." + received[-_SECOND_DIGITS:]
    return b',"receivedTime":' + seconds + b',"receiptKey":"' + columns[_KEY] + b'"'


def pack(head: bytes, body: bytes, original: bytes) -> bytes:
    """Encode a record as the body of a message to the packed stream."""
    return _LENGTHS.pack(len(head), len(body), len(original)) + head + body + original


def unpack(packed: bytes) -> Record | None:
    """Convert a message of the packed stream to its record. Return None if the lengths are wrong."""
    if len(packed) < _LENGTHS.size:
        return None
    lengths = _LENGTHS.unpack_from(packed)
    if _LENGTHS.size + sum(lengths) != len(packed):
        return None
    body_start = _LENGTHS.size + lengths[0]
    original_start = body_start + lengths[1]
    return Record(packed[_LENGTHS.size : body_start], packed[body_start:original_start], packed[original_start:])


def external_record(validator: Validator, received_us: int, method: Any, properties: Any, body: bytes) -> Record:
    """Convert a message that another program published to `receipts`.

    The message is validated in the same way as in ingest. If it is not a valid receipt, the result is a refusal. The
    key and the time of arrival are never taken from the message.
    """
    try:
        head, _, _ = validator.check(body, received_us, EXTERNAL_SOURCE)
    except ReceiptError as error:
        faults = [*error.faults, Fault("amqp", _origin(method, properties))]
        head, original = validator.refusal(faults, body, received_us, EXTERNAL_SOURCE)
        return Record(head, b"", original)
    return Record(head, body, b"")


def _origin(method: Any, properties: Any) -> str:
    """Describe a message, to help people find its sender."""
    named = {name: value for name, value in vars(properties).items() if value is not None}
    headers = {name: value for name, value in named.pop("headers", {}).items() if name != "x-stream-offset"}
    shown = msgspec.json.encode(named | ({"headers": headers} if headers else {}), enc_hook=str).decode()
    return (
        f"published to exchange {method.exchange!r} with routing key {method.routing_key!r}, "
        f"properties {shown[:SHOWN_PROPERTIES_CHARS]}"
    )
