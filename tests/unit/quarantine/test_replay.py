"""What was set aside goes to a real ingest again, and nothing of it is kept there a second time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.certificate import certificate
from tests.support.ingest import encoded
from tests.support.spare import spare_port
from tillstream.access.key_file import KeyRepository
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.errors import IngestUnavailable
from tillstream.formats import registry
from tillstream.formats.envelope import MEDIA_TYPE
from tillstream.ingest.auth import Gate
from tillstream.quarantine.replay import Posting

JSON = "application/json"
HTTP = "json/http"


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path_factory.mktemp("ingest"))
    yield ingest
    ingest.close()


@pytest.fixture
def posting(ingest: Ingest) -> Posting:
    return Posting(lambda: f"http://127.0.0.1:{ingest.port}", dict, registry.load(Settings()))


def test_a_receipt_is_taken_and_its_source_says_how_it_came(ingest: Ingest, posting: Posting) -> None:
    answered = posting.post(encoded(1), JSON, HTTP)
    assert (answered.errors, answered.day, answered.receipts) == ([], "2026-11-23", 1)
    [record] = [each for each in ingest.records() if each["key"] == answered.key]
    assert (record["source"], record["receipt"]) == ("json/replay", "1")
    invented = posting.post(encoded(2), JSON, "json/http/simulated")
    assert [each["source"] for each in ingest.records() if each["key"] == invented.key] == ["json/replay/simulated"]


@pytest.mark.parametrize(
    "content", [b"{", encoded(3, date="x"), b"[" + encoded(4, date="x") + b"," + b"1]", b"[]", b""]
)
def test_what_is_refused_again_says_why_and_leaves_no_copy(ingest: Ingest, posting: Posting, content: bytes) -> None:
    before = len(ingest.records())
    answered = posting.post(content, JSON, HTTP)
    assert answered.errors
    assert all(error["path"] and error["error"] for error in answered.errors)
    assert (answered.key, answered.receipts) == ("", 0)
    assert len(ingest.records()) == before


def test_of_several_the_good_ones_are_taken_and_each_bad_one_is_told_by_its_place(posting: Posting) -> None:
    several = b"[" + b",".join([encoded(5), encoded(6, date="x"), encoded(7)]) + b"]"
    answered = posting.post(several, JSON, HTTP)
    assert answered.receipts == 2
    assert [error["path"] for error in answered.errors] == ["$[1].date"]


def test_an_array_of_one_is_taken_like_one_of_several(posting: Posting) -> None:
    answered = posting.post(b"\xef\xbb\xbf [" + encoded(9) + b"]", JSON, HTTP)
    assert (answered.errors, answered.receipts) == ([], 1)


def test_an_ingest_that_takes_nothing_now_is_told(tmp_path: Path, posting: Posting) -> None:
    port = spare_port()
    nobody = Posting(lambda: f"http://127.0.0.1:{port}", dict, registry.load(Settings()))
    with pytest.raises(IngestUnavailable, match="could not reach ingest at"):
        nobody.post(encoded(8), JSON, HTTP)
    slow = Ingest(tmp_path / "slow", store_limit_receipts_per_s=1)
    try:
        limited = Posting(lambda: f"http://127.0.0.1:{slow.port}", dict, registry.load(Settings()))
        several = b"[" + b",".join(encoded(number) for number in range(20)) + b"]"
        limited.post(several, JSON, HTTP)
        with pytest.raises(IngestUnavailable, match="more than 1 receipts a second"):
            limited.post(several, JSON, HTTP)
    finally:
        slow.close()


@pytest.mark.parametrize(
    ("brought", "said"),
    [({}, "this needs an API key"), ({"Authorization": "Bearer nonsense"}, "the key is not known")],
)
def test_an_ingest_that_does_not_know_the_key_has_refused_no_receipt(
    tmp_path: Path, brought: dict[str, str], said: str
) -> None:
    keys = KeyRepository(tmp_path / "keys.json", SystemClock())
    guarded = Ingest(tmp_path / "guarded", gate=Gate(keys, required=True))
    try:
        stranger = Posting(lambda: f"http://127.0.0.1:{guarded.port}", lambda: brought, registry.load(Settings()))
        with pytest.raises(IngestUnavailable, match=f"{said}.*see the setting ingest_key_file"):
            stranger.post(encoded(1), JSON, HTTP)
    finally:
        guarded.close()


@pytest.mark.parametrize(
    ("source", "named", "media_type"),
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
def test_the_media_type_is_that_of_the_source_unless_one_is_named(
    posting: Posting, source: str, named: str, media_type: str
) -> None:
    assert posting.media_type(source, named) == media_type
    assert JSON in posting.types


@pytest.mark.parametrize("named", ["text/csv; a=\u20ac", "text/csv; a=\r\nb: c", "text/csv\n"])
def test_what_no_header_can_hold_names_no_format(posting: Posting, named: str) -> None:
    assert posting.media_type(HTTP, named) == ""


def test_an_ingest_elsewhere_must_have_a_right_certificate(tmp_path: Path) -> None:
    secured = Ingest(tmp_path / "ingest", **certificate(tmp_path).settings)
    try:
        formats = registry.load(Settings())
        here, elsewhere = (
            Posting(lambda: f"https://127.0.0.1:{secured.port}", dict, formats, elsewhere=each)
            for each in (False, True)
        )
        assert here.post(encoded(1), JSON, HTTP).receipts == 1
        with pytest.raises(IngestUnavailable, match="certificate verify failed"):
            elsewhere.post(encoded(2), JSON, HTTP)
    finally:
        secured.close()
