"""Access to a tillstream that other machines can reach needs a key or the password."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.access import PASSWORD, add_key, bearer, set_password
from tests.support.certificate import Certificate, certificate
from tests.support.processes import (
    RunningTillstream,
    assert_usage_error,
    list_quarantine,
    run_check,
    run_command,
    running_tillstream,
    verb_output,
)
from tests.support.receipts import body
from tests.support.waiting import wait_until


@dataclass(frozen=True)
class Guarded:
    """A tillstream on all addresses of this machine, with TLS, a password and a key for store 12."""

    data: Path
    own: Certificate
    tillstream: RunningTillstream
    key: str

    def client(self) -> httpx.Client:
        return httpx.Client(verify=self.own.trusted, base_url=self.tillstream.dashboard)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    data, own = folder / "data", certificate(folder)
    key = add_key(data, "--store", 12)
    set_password(data)
    with running_tillstream(data, "--host", "0.0.0.0", *own.options) as tillstream:
        yield Guarded(data, own, tillstream, key)


def has_number(output: str, number: int) -> bool:
    """Whether the number is a separate word of the output, and not a part of another number, a name or a path."""
    return re.search(rf"(?<![\w./:-]){number}(?![\w/-])", output) is not None


def receipt(store: str, number: int = 1) -> bytes:
    return json.dumps(body(storeID=store, cashReceiptID=str(number))).encode()


def test_without_keys_password_and_tls_only_loopback_is_allowed(tmp_path: Path) -> None:
    for verb, needs in (
        ("up", ("tillstream keys add", "tillstream password set")),
        ("ingest", ("tillstream keys add",)),
        ("engine", ("tillstream password set",)),
    ):
        options = ("--data", tmp_path / "data", "--host", "0.0.0.0")
        for named in (*needs, "0.0.0.0", "tls_certificate_file", "tls_key_file", "--insecure"):
            assert_usage_error(verb, *options, naming=named)


def test_given_the_option_insecure_then_a_warning_is_printed_once(tmp_path: Path) -> None:
    lines = {}
    for options in ((), ("--host", "0.0.0.0", "--insecure")):
        with running_tillstream(tmp_path / f"data{len(options)}", *options) as serving:
            assert serving.post(receipt("12")).status_code == 202
            assert serving.get("/api/v1/summary").status_code == 200
            assert serving.stop() == 0
        lines[options] = len(serving.command.output.splitlines())
    assert lines["--host", "0.0.0.0", "--insecure"] == lines[()] + 1


def test_a_missing_certificate_is_reported_in_one_line(tmp_path: Path) -> None:
    files = ("--tls-certificate-file", "none.crt", "--tls-key-file", "none.key")
    assert_usage_error("up", "--data", tmp_path / "data", *files, naming="none.crt")


def test_a_key_posts_only_for_its_store_and_nobody_posts_without_a_key(guarded: Guarded) -> None:
    data = guarded.data
    with guarded.client() as client:

        def post(store: str, **headers: str) -> int:
            return client.post(
                f"{guarded.tillstream.ingest}/receipt", content=receipt(store), headers=headers
            ).status_code

        own = bearer(guarded.key)
        assert (post("12"), post("12", **bearer("nonsense")), post("13", **own)) == (401, 401, 403)
        assert post("12", **own) == 202
        assert run_check(data) == (1, 1, 0, 0, 0)
        verb_output("keys", "revoke", guarded.key.split("_")[1], "--data", data)
        wait_until(lambda: post("12", **own) == 401, "the revoked key is refused", 3)


def test_the_dashboard_needs_the_password_or_a_key(guarded: Guarded) -> None:
    with guarded.client() as client:
        for path in ("/", "/api/v1/summary", "/api/v1/live", "/receipts", "/assets/style.css", "/docs"):
            assert client.get(path, headers=bearer(guarded.key)).status_code == 401
        assert client.get("/health/ready").status_code == 200
        reading = bearer(add_key(guarded.data, "--read"))
        wait_until(lambda: client.get("/api/v1/summary", headers=reading).status_code == 200, "the key is accepted", 3)
        assert client.post("/login", data={"password": "croissant"}).status_code == 403
        answer = client.post("/login", data={"password": PASSWORD})
        assert (answer.status_code, "; Secure" in answer.headers["set-cookie"]) == (303, True)
        assert client.get("/api/v1/summary").status_code == 200
        set_password(guarded.data, "tarte aux pommes")
        wait_until(lambda: client.get("/api/v1/summary").status_code == 401, "the session has ended", 3)


def test_files_are_imported_with_a_key(guarded: Guarded, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(add_key(guarded.data, "--store", 21) + "\n")
    file = tmp_path / "day.ndjson"
    file.write_bytes(receipt("21", 1) + b"\n" + receipt("21", 2) + b"\n")
    options = ("--to", guarded.tillstream.ingest, "--state", tmp_path / "state", "--quiet")
    trusted = str(guarded.own.certificate)
    code, output = run_command("import", file, *options, SSL_CERT_FILE=trusted)
    assert (code, has_number(output, 401)) == (2, True), output
    code, output = run_command("import", file, *options, "--key-file", key, SSL_CERT_FILE=trusted)
    assert code == 0, output
    file.write_bytes(receipt("22", 1) + b"\n")
    code, output = run_command("import", file, *options, "--key-file", key, SSL_CERT_FILE=trusted)
    assert (code, has_number(output, 22)) == (2, True), output
    # The import rejects receipts that its key may not send. It sends them later with another key.
    all_stores_key = tmp_path / "all-stores.key"
    all_stores_key.write_text(add_key(guarded.data, "--all-stores") + "\n")
    file.write_bytes(receipt("21", 3) + b"\n" + receipt("23", 1) + b"\n")
    code, output = run_command("import", file, *options, "--key-file", key, SSL_CERT_FILE=trusted)
    assert (code, has_number(output, 23)) == (1, True), output

    def imported() -> bool:
        return run_command("import", file, *options, "--key-file", all_stores_key, SSL_CERT_FILE=trusted)[0] == 0

    wait_until(imported, "the import succeeds with the other key", 10)
    # An import with access to the data directory does not need a key.
    code, output = run_command("import", file, "--data", guarded.data, "--state", tmp_path / "here", "--quiet")
    assert code == 0, output


def test_quarantine_entries_are_replayed_by_a_logged_in_user_and_by_local_verbs(guarded: Guarded) -> None:
    own = bearer(add_key(guarded.data, "--store", 31))
    with guarded.client() as client:

        def post_malformed(number: int) -> int:
            content = receipt("31", number).replace(b"}", b"", 1)
            return client.post(f"{guarded.tillstream.ingest}/receipt", content=content, headers=own).status_code

        wait_until(lambda: post_malformed(1) == 400, "the key is accepted", 3)
        [entry, *_] = wait_until(lambda: list_quarantine(guarded.data), "the entry is listed")
        path = f"/api/v1/quarantine/{entry['id']}/replay"
        as_json = {"content": b64encode(receipt("31", 1)).decode()}
        assert client.post(path, json=as_json).status_code == 401
        reading = bearer(add_key(guarded.data, "--read"))
        wait_until(lambda: client.get("/api/v1/summary", headers=reading).status_code == 200, "the key is accepted", 3)
        assert client.post(path, json=as_json, headers=reading).status_code == 403
        set_password(guarded.data)
        wait_until(
            lambda: client.post("/login", data={"password": PASSWORD}).status_code == 303, "the password is accepted", 5
        )
        done = client.post(path, json=as_json)
        assert (done.status_code, done.json()["became"]) == (200, "replayed"), done.text
        assert post_malformed(2) == 400
        wait_until(lambda: list_quarantine(guarded.data), "the entry is listed")
    code, output = run_command("quarantine", "discard", "--all", "--yes", "--data", guarded.data)
    assert code == 0, output


def test_generated_receipts_are_sent_with_a_key(guarded: Guarded, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(add_key(guarded.data, "--all-stores") + "\n")
    arguments = ("generate", "--url", guarded.tillstream.ingest, "--burst", 5, "--quiet")
    trusted = str(guarded.own.certificate)
    code, output = run_command(*arguments, SSL_CERT_FILE=trusted)
    assert (code, has_number(output, 401)) == (1, True), output
    code, output = run_command(*arguments, "--key-file", file, SSL_CERT_FILE=trusted)
    assert code == 0, output
