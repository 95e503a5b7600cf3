"""Compressed bodies are restored within limits, and damaged ones are refused."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.inprocess.ingest import Ingest, Start
from tests.support.ingest import JSON
from tests.support.receipts import body
from tillstream.ingest.content_encoding import MEMBERS_LIMIT, decompress
from tillstream.receipt.validation import ReceiptError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
every_encoding = pytest.mark.parametrize("name", COMPRESS)


@every_encoding
@given(plain=st.binary(min_size=1, max_size=2_000))
def test_a_compressed_body_is_restored(name: str, plain: bytes) -> None:
    assert decompress(name, COMPRESS[name](plain), 2_000) == plain


@every_encoding
def test_several_members_are_one_body(name: str) -> None:
    assert decompress(name, COMPRESS[name](b"one") + COMPRESS[name](b"two"), 100) == b"onetwo"


@every_encoding
def test_a_body_that_exceeds_the_limit_is_refused(name: str) -> None:
    bomb = COMPRESS[name](bytes(50_000_000))
    assert len(bomb) < 100_000
    assert decompress(name, bomb, 1_000_000) is None


@every_encoding
@pytest.mark.parametrize("cut", [1, 8])
def test_a_truncated_body_is_refused(name: str, cut: int) -> None:
    whole = COMPRESS[name](b"a receipt" * 100)
    with pytest.raises(ReceiptError):
        decompress(name, whole[: len(whole) // cut - cut], 10_000)


@every_encoding
def test_an_uncompressed_body_is_refused(name: str) -> None:
    with pytest.raises(ReceiptError):
        decompress(name, b'{"storeID": 1}', 10_000)


@pytest.fixture
def ingest(start: Start) -> Ingest:
    return start(body_limit_bytes=100_000)


@every_encoding
@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_a_client_may_send_a_compressed_body(ingest: Ingest, name: str, path: str) -> None:
    headers = (("content-type", JSON), ("content-encoding", name.upper()))
    answer = ingest.request("POST", path, COMPRESS[name](json.dumps(body()).encode()), *headers)
    assert (answer.status, answer.json["accepted"]) == (202, 1)


@every_encoding
def test_a_bomb_is_answered_413_and_broken_data_400(ingest: Ingest, name: str) -> None:
    headers = (("content-type", JSON), ("content-encoding", name))
    assert ingest.request("POST", "/receipt", COMPRESS[name](bytes(1_000_000)), *headers).status == 413
    answer = ingest.request("POST", "/receipt", b"plain", *headers)
    assert answer.status == 400
    assert name in answer.json["errors"][0]["error"]


def test_an_unknown_encoding_is_answered_415_with_the_known_ones(ingest: Ingest) -> None:
    headers = (("content-type", JSON), ("content-encoding", "br"))
    answer = ingest.request("POST", "/receipt", b"x", *headers)
    assert answer.status == 415
    assert answer.headers["accept-encoding"] == "gzip, zstd, identity"


@every_encoding
def test_empty_members_count_towards_the_limit(name: str) -> None:
    empty = COMPRESS[name](b"")
    assert decompress(name, empty * MEMBERS_LIMIT, 100) == b""
    with pytest.raises(ReceiptError, match="too many members"):
        decompress(name, empty * (MEMBERS_LIMIT + 1), 100)


@every_encoding
def test_data_that_break_off_after_some_blocks_are_refused(name: str) -> None:
    whole = COMPRESS[name](bytes(range(256)) * 10_000 + os.urandom(300_000))
    with pytest.raises(ReceiptError, match="end too early"):
        decompress(name, whole[:-100_000], 10_000_000)


@every_encoding
def test_trailing_data_are_refused(name: str) -> None:
    with pytest.raises(ReceiptError, match="are broken"):
        decompress(name, COMPRESS[name](b"a receipt") + b"rubbish", 10_000)
