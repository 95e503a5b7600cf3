"""Quarantined content is posted to a real ingest, which does not quarantine it a second time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.certificate import certificate
from tests.support.free_ports import free_port
from tests.support.ingest import encoded
from tillstream.access.keys import KeyRepository
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.errors import IngestUnavailable
from tillstream.formats import registry
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.ingest.auth import Authorizer
from tillstream.quarantine.replay import Replayer

JSON = "application/json"
HTTP = "json/http"


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path_factory.mktemp("ingest"))
    yield ingest
    ingest.close()


@pytest.fixture
def replayer(ingest: Ingest) -> Replayer:
    return Replayer(lambda: f"http://127.0.0.1:{ingest.port}", dict, registry.load(Settings()))


def test_an_accepted_receipt_has_a_source_that_says_replay(ingest: Ingest, replayer: Replayer) -> None:
    result = replayer.post(encoded(1), JSON, HTTP)
    assert (result.errors, result.day, result.receipts) == ([], "2026-11-23", 1)
    [record] = [each for each in ingest.records() if each["key"] == result.key]
    assert (record["source"], record["receipt"]) == ("json/replay", "1")
    simulated = replayer.post(encoded(2), JSON, "json/http/simulated")
    assert [each["source"] for each in ingest.records() if each["key"] == simulated.key] == ["json/replay/simulated"]


@pytest.mark.parametrize(
    "content", [b"{", encoded(3, date="x"), b"[" + encoded(4, date="x") + b"," + b"1]", b"[]", b""]
)
def test_content_that_is_refused_again_returns_the_reasons_and_leaves_no_copy(
    ingest: Ingest, replayer: Replayer, content: bytes
) -> None:
    before = len(ingest.records())
    result = replayer.post(content, JSON, HTTP)
    assert result.errors
    assert all(error["path"] and error["error"] for error in result.errors)
    assert (result.key, result.receipts) == ("", 0)
    assert len(ingest.records()) == before


def test_the_valid_receipts_of_a_batch_are_accepted_and_the_others_are_listed_by_their_index(
    replayer: Replayer,
) -> None:
    several = b"[" + b",".join([encoded(5), encoded(6, date="x"), encoded(7)]) + b"]"
    result = replayer.post(several, JSON, HTTP)
    assert result.receipts == 2
    assert [error["path"] for error in result.errors] == ["$[1].date"]


def test_an_array_of_one_receipt_is_accepted(replayer: Replayer) -> None:
    result = replayer.post(b"\xef\xbb\xbf [" + encoded(9) + b"]", JSON, HTTP)
    assert (result.errors, result.receipts) == ([], 1)


def test_an_ingest_that_accepts_nothing_now_raises_an_error(tmp_path: Path, replayer: Replayer) -> None:
    port = free_port()
    unreachable = Replayer(lambda: f"http://127.0.0.1:{port}", dict, registry.load(Settings()))
    with pytest.raises(IngestUnavailable, match="could not reach ingest at"):
        unreachable.post(encoded(8), JSON, HTTP)
    slow = Ingest(tmp_path / "slow", store_limit_receipts_per_s=1)
    try:
        limited = Replayer(lambda: f"http://127.0.0.1:{slow.port}", dict, registry.load(Settings()))
        several = b"[" + b",".join(encoded(number) for number in range(20)) + b"]"
        limited.post(several, JSON, HTTP)
        with pytest.raises(IngestUnavailable, match="more than 1 receipts a second"):
            limited.post(several, JSON, HTTP)
    finally:
        slow.close()


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [({}, "the request needs an API key"), ({"Authorization": "Bearer nonsense"}, "the API key is unknown")],
)
def test_a_wrong_key_is_an_error_of_ingest_and_not_of_the_receipt(
    tmp_path: Path, authorization: dict[str, str], reason: str
) -> None:
    keys = KeyRepository(tmp_path / "keys.json", SystemClock())
    guarded = Ingest(tmp_path / "guarded", authorizer=Authorizer(keys, required=True))
    try:
        unauthorized = Replayer(
            lambda: f"http://127.0.0.1:{guarded.port}", lambda: authorization, registry.load(Settings())
        )
        with pytest.raises(IngestUnavailable, match=f"{reason}.*see the setting ingest_key_file"):
            unauthorized.post(encoded(1), JSON, HTTP)
    finally:
        guarded.close()


@pytest.mark.parametrize(
    ("source", "requested", "media_type"),
    [
        ("json/http", "", JSON),
        ("json/http/simulated", "", JSON),
        ("records/http", "", MEDIA_TYPE),
        ("json/http", "ndjson", "application/x-ndjson"),
        ("json/http", "application/jsonl", "application/jsonl"),
        ("mine/gateway", "", ""),
        ("json/http", "nonsense", ""),
        ("json/http", "text/nonsense", ""),
    ],
)
def test_the_media_type_is_that_of_the_source_unless_one_is_requested(
    replayer: Replayer, source: str, requested: str, media_type: str
) -> None:
    assert replayer.media_type(source, requested) == media_type
    assert JSON in replayer.media_types


@pytest.mark.parametrize("requested", ["text/csv; a=\u20ac", "text/csv; a=\r\nb: c", "text/csv\n"])
def test_a_media_type_that_no_header_can_hold_is_unknown(replayer: Replayer, requested: str) -> None:
    assert replayer.media_type(HTTP, requested) == ""


def test_a_remote_ingest_must_have_a_valid_certificate(tmp_path: Path) -> None:
    secured = Ingest(tmp_path / "ingest", **certificate(tmp_path).settings)
    try:
        formats = registry.load(Settings())
        local, remote = (
            Replayer(lambda: f"https://127.0.0.1:{secured.port}", dict, formats, remote=each) for each in (False, True)
        )
        assert local.post(encoded(1), JSON, HTTP).receipts == 1
        with pytest.raises(IngestUnavailable, match="certificate verify failed"):
            remote.post(encoded(2), JSON, HTTP)
    finally:
        secured.close()
