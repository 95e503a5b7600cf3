"""Records as messages and back: what subscribers see, and what only the engine does."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple

from pika import BasicProperties

from tillstream.errors import TillstreamError
from tillstream.log.base import Batch
from tillstream.log.rabbitmq.topology import ASIDE, COPY, RECEIPTS
from tillstream.receipt.model import HEAD_COLUMNS, RECEIPT

HEAD = "tillstream-head"
"""The header of a message that holds the record's head."""

JSON = "application/json"
OCTETS = "application/octet-stream"
PERSISTENT = 2

_KIND, _KEY, _RECEIVED, _STORE = (HEAD_COLUMNS.index(name) for name in ("kind", "key", "received_us", "store"))
_SECOND_DIGITS = 6
_ROUTING_KEY_BYTES = 255
_LENGTHS = struct.Struct("<III")


class NotOurs(TillstreamError):
    """The message is not what ingest publishes."""


class Message(NamedTuple):
    """Something to publish. A mandatory one that reaches no stream is an error."""

    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes
    mandatory: bool


class Record(NamedTuple):
    head: bytes
    body: bytes
    original: bytes


def messages(batch: Batch, user: str, group: str) -> Iterator[Message]:
    """A receipt is one message to `receipts`, its body with `receivedTime` and `receiptKey` put in.

    What has an original, or is no receipt, is a message to the stream aside, whole. For subscribers a
    receipt with an original is also a message to `receipts`, marked as a copy that the log leaves out.
    `group` names the batch.
    """
    aside = BasicProperties(OCTETS, delivery_mode=PERSISTENT, user_id=user, message_id=group)
    copy = BasicProperties(JSON, headers={COPY: True}, delivery_mode=PERSISTENT, user_id=user)
    for head, body, original in zip(batch.heads, batch.bodies, batch.originals, strict=True):
        columns = head.split(b"\t")
        told = put_in(body, columns)
        if told is not None and not original:
            properties = BasicProperties(JSON, headers={HEAD: head}, delivery_mode=PERSISTENT, user_id=user)
            yield Message(RECEIPTS, _routing_key(columns[_STORE]), properties, told, True)
            continue
        if told is not None:
            yield Message(RECEIPTS, _routing_key(columns[_STORE]), copy, told, False)
        yield Message(ASIDE, "", aside, pack(head, body, original), True)


def _routing_key(store: bytes) -> str:
    return store.decode() if len(store) <= _ROUTING_KEY_BYTES else blake2b(store, digest_size=16).hexdigest()


def put_in(body: bytes, columns: list[bytes]) -> bytes | None:
    """The body as subscribers get it; None for what is no receipt with a key.

    The two members come last: of a name that stands twice most readers take the last, so that what a
    till wrote under these names does not pass for ingest's.
    """
    end = body.rfind(b"}")
    if len(columns) != len(HEAD_COLUMNS) or columns[_KIND] != RECEIPT.encode() or end < 0 or not columns[_KEY]:
        return None
    return body[:end] + _members(columns) + body[end:]


def cut_out(told: bytes, head: bytes) -> bytes:
    """The very bytes that `put_in` was given. Raises `NotOurs`."""
    columns = head.split(b"\t")
    if len(columns) != len(HEAD_COLUMNS):
        raise NotOurs("its head is none")
    members = _members(columns)
    end = told.rfind(b"}")
    start = end - len(members)
    if start < 0 or told[start:end] != members:
        raise NotOurs("its body does not name the key and the time of its head")
    return told[:start] + told[end:]


def _members(columns: list[bytes]) -> bytes:
    received = columns[_RECEIVED].rjust(_SECOND_DIGITS + 1, b"0")
    seconds = received[:-_SECOND_DIGITS] + b"." + received[-_SECOND_DIGITS:]
    return b',"receivedTime":' + seconds + b',"receiptKey":"' + columns[_KEY] + b'"'


def pack(head: bytes, body: bytes, original: bytes) -> bytes:
    return _LENGTHS.pack(len(head), len(body), len(original)) + head + body + original


def unpack(packed: bytes) -> Record:
    """Raises `NotOurs`."""
    if len(packed) < _LENGTHS.size:
        raise NotOurs("it is too short")
    lengths = _LENGTHS.unpack_from(packed)
    if _LENGTHS.size + sum(lengths) != len(packed):
        raise NotOurs("its lengths contradict it")
    behind_head = _LENGTHS.size + lengths[0]
    behind_body = behind_head + lengths[1]
    return Record(packed[_LENGTHS.size : behind_head], packed[behind_head:behind_body], packed[behind_body:])
