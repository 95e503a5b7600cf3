"""Records as messages, and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inprocess.pipeline import head
from tests.support.receipts import body
from tillstream.log.base import Batch
from tillstream.log.rabbitmq import topology
from tillstream.log.rabbitmq.messages import HEAD, NotOurs, cut_out, messages, pack, put_in, unpack

HEAD_OF_ONE = head(body(), 1_795_431_600_123_456)
COLUMNS = HEAD_OF_ONE.split(b"\t")


def batch(*records: tuple[bytes, bytes, bytes]) -> Batch:
    made = Batch()
    for record in records:
        made.add(*record)
    return made


def test_subscribers_get_the_time_and_the_key_behind_what_the_till_wrote() -> None:
    told = put_in(b' {"receivedTime": 1,\n"x": 0.10}\n', COLUMNS)
    assert told is not None
    seen = json.loads(told)
    assert list(seen) == ["receivedTime", "x", "receiptKey"]
    assert (seen["receivedTime"], seen["receiptKey"]) == (1795431600.123456, COLUMNS[1].decode())


@given(st.binary(max_size=50), st.binary(max_size=5))
def test_what_was_put_in_is_cut_out_again(inner: bytes, behind: bytes) -> None:
    written = b"{" + inner + b"}" + behind
    told = put_in(written, COLUMNS)
    assert told is not None
    assert cut_out(told, HEAD_OF_ONE) == written


@pytest.mark.parametrize(
    ("told", "its_head"),
    [(b"{}", HEAD_OF_ONE), (b"", HEAD_OF_ONE), (put_in(b"{}", COLUMNS), head(body(), 1)), (b"{}", b"x\n")],
)
def test_a_body_that_contradicts_its_head_is_not_ours(told: bytes, its_head: bytes) -> None:
    with pytest.raises(NotOurs):
        cut_out(told, its_head)


def test_a_receipt_is_one_message_for_everybody_routed_by_its_store() -> None:
    [message] = messages(batch((HEAD_OF_ONE, b"{}", b"")), "ingest", "g")
    assert (message.exchange, message.routing_key, message.mandatory) == ("receipts", "12", True)
    assert message.properties.headers == {HEAD: HEAD_OF_ONE}
    assert (message.properties.user_id, message.properties.content_type) == ("ingest", "application/json")


def test_a_receipt_with_an_original_is_whole_aside_and_a_copy_for_subscribers() -> None:
    copy, whole = messages(batch((HEAD_OF_ONE, b'{"x": 1}', b"a;b")), "ingest", "g")
    assert (copy.exchange, copy.properties.headers, copy.mandatory) == ("receipts", {topology.COPY: True}, False)
    assert json.loads(copy.body)["receiptKey"] == COLUMNS[1].decode()
    assert (whole.exchange, whole.mandatory, whole.properties.message_id) == (topology.ASIDE, True, "g")
    assert unpack(whole.body) == (HEAD_OF_ONE, b'{"x": 1}', b"a;b")


def test_subscribers_see_no_refusal() -> None:
    [message] = messages(batch((b"refusal\t\t1\t2026-11-23\t\t\t\t\tjson/http\t[]\n", b"", b"\x00")), "ingest", "g")
    assert message.exchange == topology.ASIDE


def test_a_store_whose_name_is_too_long_for_a_routing_key_has_one_of_its_own() -> None:
    long = head(body(storeID="é" * 128), 1_795_431_600_123_456)
    [message] = messages(batch((long, b"{}", b"")), "ingest", "g")
    assert len(message.routing_key) == 32


@pytest.mark.parametrize("packed", [b"", b"123", pack(b"a", b"b", b"c")[:-1], pack(b"a", b"b", b"c") + b"d"])
def test_what_does_not_add_up_is_not_ours(packed: bytes) -> None:
    with pytest.raises(NotOurs):
        unpack(packed)
