"""Each key posts for its own stores only, and requests without a key are refused."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.ingest import JSON, NDJSON, Answer, encoded, head
from tests.support.waiting import wait_until
from tillstream.access.keys import Key, KeyRepository, Keys, changing_keys, create, digest
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.formats.envelope import MEDIA_TYPE as RECORDS
from tillstream.formats.form import MEDIA_TYPE as FORM
from tillstream.ingest import auth
from tillstream.ingest.auth import Authorizer
from tillstream.ingest.responses import Refused

TOKEN = "0123456789abcdef" * 4


class KeyFile:
    """A file of keys."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.repository = KeyRepository(file, SystemClock())

    def add(self, *stores: str, all_stores: bool = False, reads: bool = False) -> str:
        with changing_keys(self.file) as (known, replace):
            text, number = create(secrets.token_bytes, known.by_id)
            replace(Keys({**known.by_id, number: Key(number, digest(text), "", "", stores, all_stores, reads)}))
        return text

    def revoke(self) -> None:
        with changing_keys(self.file) as (known, replace):
            replace(Keys.of(Key(key.id, key.digest, "", "", key.stores, revoked="now") for key in known.by_id.values()))


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


@pytest.fixture
def own(keys: KeyFile) -> str:
    """The key of the store of the support's receipts."""
    return keys.add("S-1", "ü2")


@pytest.fixture
def guarded(keys: KeyFile, own: str, tmp_path: Path) -> Iterator[Ingest]:
    server = Ingest(tmp_path / "guarded", authorizer=Authorizer(keys.repository, TOKEN))
    yield server
    server.close()


def bearer(key: str) -> tuple[str, str]:
    return "authorization", f"Bearer {key}"


def first_error(answer: Answer) -> str:
    return str(answer.json["errors"][0]["error"])


def test_without_keys_everybody_posts(keys: KeyFile) -> None:
    for authorizer in (Authorizer(), Authorizer(keys.repository, TOKEN)):
        assert not authorizer.enabled
        assert authorizer.allowed_stores({}) is None
        assert authorizer.allowed_stores({b"authorization": b"Bearer nonsense"}) is None
        authorizer.check_read({})


def test_if_keys_are_required_nobody_posts_without_any(keys: KeyFile) -> None:
    with pytest.raises(Refused):
        Authorizer(keys.repository, TOKEN, required=True).allowed_stores({})


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_without_a_key_nothing_is_accepted_or_stored(guarded: Ingest, path: str) -> None:
    for body in (encoded(), b"{", b""):
        answer = guarded.post(path, body)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tillstream"')
    assert first_error(answer) == "the request needs an API key"
    assert "Authorization: Bearer KEY" in answer.json["errors"][0]["hint"]
    assert guarded.records() == []


@pytest.mark.parametrize(
    "header", [bearer("ts_00000000_" + "A" * 43), ("x-api-key", "é"), ("authorization", "Basic eDp5")]
)
def test_an_unknown_key_is_refused(guarded: Ingest, header: tuple[str, str]) -> None:
    answer = guarded.post("/receipt", encoded(), JSON, header)
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert first_error(answer) == "the API key is unknown or revoked"
    assert guarded.records() == []


def test_a_key_posts_for_its_stores_in_either_header(guarded: Ingest, own: str) -> None:
    for number, header in enumerate([bearer(own), ("authorization", f"bearer {own}"), ("X-API-Key", own)]):
        assert guarded.post("/receipt", encoded(number), JSON, header).status == 202
    assert guarded.post("/receipt", encoded(3, storeID="ü2"), JSON, bearer(own)).status == 202
    assert len(guarded.records()) == 4


def test_a_key_in_x_api_key_wins_over_an_authorization_header(guarded: Ingest, own: str) -> None:
    headers = ("authorization", "Basic eDp5"), ("x-api-key", own)
    assert guarded.post("/receipt", encoded(), JSON, *headers).status == 202


def test_a_receipt_of_another_store_is_refused_and_not_stored(guarded: Ingest, own: str) -> None:
    answer = guarded.post("/receipt", encoded(storeID="13"), JSON, bearer(own))
    assert answer.status == 403
    assert answer.json["errors"] == [
        {
            "path": "$.storeID",
            "error": "this key may not post for store 13",
            "hint": "send it with a key for this store; `tillstream keys add --store 13` creates a key",
        }
    ]
    large = guarded.post("/receipt", encoded(storeID="13"), JSON, bearer(own), ("content-encoding", "identity"))
    assert large.status == 403
    assert guarded.records() == []


def test_a_refused_receipt_with_a_valid_key_is_quarantined(guarded: Ingest, own: str) -> None:
    assert guarded.post("/receipt", b"{", JSON, bearer(own)).status == 400
    assert [record["kind"] for record in guarded.records()] == ["refusal"]


def test_a_batch_is_accepted_except_for_receipts_of_other_stores(guarded: Ingest, own: str) -> None:
    body = b"\n".join([encoded(1), encoded(2, storeID="13"), b"{", encoded(3)])
    answer = guarded.post("/receipts", body, NDJSON, bearer(own))
    assert (answer.status, answer.json["accepted"]) == (202, 2)
    assert [entry["index"] for entry in answer.json["rejected"]] == [1, 2]
    assert answer.json["rejected"][0]["errors"][0]["error"] == "this key may not post for store 13"
    assert sorted(record["kind"] for record in guarded.records()) == ["receipt", "receipt", "refusal"]


def test_a_batch_of_other_stores_only_is_refused_and_not_stored(guarded: Ingest, own: str) -> None:
    answer = guarded.post("/receipts", b"\n".join([encoded(1, storeID="13"), b"{"]), NDJSON, bearer(own))
    assert (answer.status, answer.json["accepted"]) == (403, 0)
    assert answer.json["errors"][0]["path"] == "$[0].storeID"
    assert guarded.records() == []


BY_FORMAT = [
    pytest.param(decoder.media_types[0], decoder.example.encode(), id=decoder.title)
    for decoder in registry.load(Settings())
]


@pytest.mark.parametrize(("media_type", "body"), BY_FORMAT)
@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_in_every_format_a_key_posts_for_its_own_store_only(
    keys: KeyFile, tmp_path: Path, path: str, media_type: str, body: bytes
) -> None:
    own, other = keys.add("12", "L12"), keys.add("13")
    server = Ingest(tmp_path / "guarded", authorizer=Authorizer(keys.repository, TOKEN))
    try:
        assert server.post(path, body, media_type).status == 401
        refused = server.post(path, body, media_type, bearer(other))
        assert (refused.status, "this key may not post for store" in refused.body.decode()) == (403, True)
        assert server.records() == []
        assert server.post(path, body, media_type, bearer(own)).status == 202
        assert len(server.records()) == 1
    finally:
        server.close()


def test_a_browser_that_sends_a_form_asks_its_user_for_a_key(guarded: Ingest, own: str) -> None:
    form = b"storeID=S-1&cashReceiptID=1&date=2026-11-23+10%3A15%3A00&documentTotal.grossTotal=1"
    browser = ("accept", "text/html,*/*;q=0.8")
    challenge = guarded.post("/receipt", form, FORM, browser)
    assert (challenge.status, challenge.headers["www-authenticate"].split()[0]) == (401, "Basic")
    credentials = "Basic " + b64encode(f"anybody:{own}".encode()).decode()
    accepted = guarded.post("/receipt", form, FORM, browser, ("authorization", credentials))
    assert (accepted.status, "<h1>Taken</h1>" in accepted.body.decode()) == (202, True)
    other = guarded.post("/receipt", form.replace(b"S-1", b"13"), FORM, browser, ("authorization", credentials))
    assert (other.status, "this key may not post for store 13" in other.body.decode()) == (403, True)


def test_a_key_for_all_stores_and_the_machine_token_post_for_any_store(guarded: Ingest, keys: KeyFile) -> None:
    everything = keys.add(all_stores=True)

    def known() -> bool:
        return guarded.post("/receipt", encoded(1, storeID="13"), JSON, bearer(everything)).status == 202

    wait_until(known, "the key is known")
    assert guarded.post("/receipt", encoded(2, storeID="14"), JSON, bearer(TOKEN)).status == 202


def test_a_key_for_reading_reads_the_metrics_and_posts_nothing(guarded: Ingest, keys: KeyFile, own: str) -> None:
    reading = keys.add(reads=True)

    def answered(key: str) -> int:
        return guarded.request("GET", "/metrics", None, bearer(key)).status

    wait_until(lambda: answered(reading) == 200, "the key is known")
    refusal = b'{"source":"mine/gateway","faults":[{"path":"$","error":"torn"}],"original":"AAAA"}'
    for path in ("/receipt", "/receipts"):
        for body, kind in ((encoded(), JSON), (b"{", JSON), (b"", JSON), (refusal, RECORDS)):
            answer = guarded.post(path, body, kind, bearer(reading))
            assert (answer.status, first_error(answer)) == (403, "this key is for reading, not for receipts")
    assert guarded.records() == []
    assert (guarded.request("GET", "/metrics").status, answered(own), answered(TOKEN)) == (401, 403, 200)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/docs", "/openapi.json"])
def test_health_and_documentation_need_no_key(guarded: Ingest, path: str) -> None:
    assert guarded.request("GET", path).status == 200


def test_a_revoked_key_is_refused_within_two_seconds(guarded: Ingest, keys: KeyFile, own: str) -> None:
    connection = guarded.connect()

    def status() -> int:
        return connection.request("POST", "/receipt", encoded(), (bearer(own), ("content-type", JSON))).status

    assert status() == 202
    keys.revoke()
    wait_until(lambda: status() == 401, "it is refused", 2)


def test_a_large_body_without_a_key_is_refused_before_it_is_read(guarded: Ingest) -> None:
    for headers in ({"content_length": 20_000_000}, {"content_length": 10, "expect": "100-continue"}):
        connection = guarded.connect()
        connection.send(head(**headers))
        assert connection.answer().status == 401
        assert connection.at_end()
    chunked = guarded.connect()
    chunked.send(head(transfer_encoding="chunked") + b"5\r\nhello\r\n")
    assert chunked.answer().status == 401


def test_a_large_body_with_a_key_is_accepted(guarded: Ingest, own: str) -> None:
    lines = b"\n".join(encoded(number, note="x" * 500) for number in range(300))
    answer = guarded.post("/receipts", lines, NDJSON, bearer(own), ("expect", "100-continue"))
    assert answer.status == 100
    body = json.dumps([json.loads(encoded(number, note="x" * 500)) for number in range(300)]).encode()
    assert guarded.post("/receipts", body, JSON, bearer(own)).json["accepted"] == 300


def test_the_number_of_cached_grants_is_bounded(keys: KeyFile, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "GRANTS_LIMIT", 3)
    authorizer = Authorizer(keys.repository, TOKEN)
    for spaces in range(10):
        stores = authorizer.allowed_stores({b"authorization": b"Bearer " + b" " * spaces + own.encode()})
        assert stores == frozenset({b"S-1", "ü2".encode()})
    assert len(authorizer._grants) <= 3
