"""Conversion between records and AMQP messages."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from pika import BasicProperties

from tillstream.clock import Clock
from tillstream.errors import TillstreamError
from tillstream.log.base import Batch, Record
from tillstream.log.rabbitmq.topology import COPY_HEADER, PACKED, RECEIPTS
from tillstream.receipt.model import HEAD_COLUMNS, RECEIPT, Fault
from tillstream.receipt.validation import ReceiptError, Validator

HEAD_HEADER = "tillstream-head"
"""The header with the record's head."""

JSON = "application/json"
OCTETS = "application/octet-stream"
PERSISTENT = 2

EXTERNAL_SOURCE = "json/amqp"
SHOWN_PROPERTIES_CHARS = 2_000

_KIND, _KEY, _RECEIVED, _STORE = (HEAD_COLUMNS.index(name) for name in ("kind", "key", "received_us", "store"))
_SECOND_DIGITS = 6
_ROUTING_KEY_BYTES = 255
_LENGTHS = struct.Struct("<III")


class InvalidMessage(TillstreamError):
    """The message does not have the form that ingest publishes."""


class Message(NamedTuple):
    """A message to publish. It is an error if a mandatory message reaches no stream."""

    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes
    mandatory: bool


def encode_batch(batch: Batch, user: str, batch_id: str) -> Iterator[Message]:
    """The messages for a batch.

    A receipt without an original is one message to `receipts`: its body plus `receivedTime` and
    `receiptKey`. Any other record is one message to the packed stream. If such a record is a receipt,
    a second message to `receipts`, marked as a copy, shows it to subscribers; the log ignores copies.
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
    """The body with `receivedTime` and `receiptKey`; None if the record is not a receipt with a key.

    They are the last members: most readers use the last of several members with one name, so a till
    cannot forge them.
    """
    end = body.rfind(b"}")
    if len(columns) != len(HEAD_COLUMNS) or columns[_KIND] != RECEIPT.encode() or end < 0 or not columns[_KEY]:
        return None
    return body[:end] + _members(columns) + body[end:]


def remove_members(published: bytes, head: bytes) -> bytes:
    """The body that was passed to `add_members`. Raises `InvalidMessage`."""
    columns = head.split(b"\t")
    if len(columns) != len(HEAD_COLUMNS):
        raise InvalidMessage("its head has a wrong number of columns")
    members = _members(columns)
    end = published.rfind(b"}")
    start = end - len(members)
    if start < 0 or published[start:end] != members:
        raise InvalidMessage("its body does not name the key and the time of its head")
    return published[:start] + published[end:]


def _members(columns: list[bytes]) -> bytes:
    received = columns[_RECEIVED].rjust(_SECOND_DIGITS + 1, b"0")
    seconds = received[:-_SECOND_DIGITS] + b"." + received[-_SECOND_DIGITS:]
    return b',"receivedTime":' + seconds + b',"receiptKey":"' + columns[_KEY] + b'"'


def pack(head: bytes, body: bytes, original: bytes) -> bytes:
    return _LENGTHS.pack(len(head), len(body), len(original)) + head + body + original


def unpack(packed: bytes) -> Record:
    """Raises `InvalidMessage`."""
    if len(packed) < _LENGTHS.size:
        raise InvalidMessage("it is too short")
    lengths = _LENGTHS.unpack_from(packed)
    if _LENGTHS.size + sum(lengths) != len(packed):
        raise InvalidMessage("its lengths contradict its size")
    body_start = _LENGTHS.size + lengths[0]
    original_start = body_start + lengths[1]
    return Record(packed[_LENGTHS.size : body_start], packed[body_start:original_start], packed[original_start:])


class ExternalMessages:
    """Converts messages that other programs published to `receipts`, with the same checks as ingest.

    The key and the time of receipt are computed here; those in the message are ignored.
    """

    def __init__(self, validator: Validator, clock: Clock) -> None:
        self._validator = validator
        self._clock = clock

    def record(self, method: Any, properties: Any, body: bytes) -> Record:
        """A receipt, or a refusal if the message is not valid."""
        received_us = self._clock.now_us()
        try:
            head, _, _ = self._validator.check(body, received_us, EXTERNAL_SOURCE)
        except ReceiptError as error:
            faults = [*error.faults, Fault("amqp", _origin(method, properties))]
            head, original = self._validator.refusal(faults, body, received_us, EXTERNAL_SOURCE)
            return Record(head, b"", original)
        return Record(head, body, b"")


def _origin(method: Any, properties: Any) -> str:
    """Exchange, routing key and properties of the message, so that people can find the sender."""
    named = {name: value for name, value in vars(properties).items() if value is not None}
    headers = named.pop("headers", None) or {}
    own_headers = {name: value for name, value in headers.items() if name != "x-stream-offset"}
    shown = msgspec.json.encode(named | ({"headers": own_headers} if own_headers else {}), enc_hook=str).decode()
    return (
        f"published to exchange {method.exchange!r} with routing key {method.routing_key!r}, "
        f"properties {shown[:SHOWN_PROPERTIES_CHARS]}"
    )
