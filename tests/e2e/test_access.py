"""Given a tillstream that others can reach; when strangers come; then they post nothing and see nothing."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from tests.support.certificate import Certificate, certificate
from tests.support.pipeline import body
from tests.support.processes import Up, call, up
from tests.support.waiting import wait_until
from tillstream.cli import main

PASSWORD = "pain au levain"


def said_by(*arguments: object, typed: str = "") -> str:
    """What a verb prints on standard output."""
    done = CliRunner().invoke(main, [*map(str, arguments)], input=typed)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@dataclass(frozen=True)
class Guarded:
    """One on every address of this machine, by TLS, with the key of store 12."""

    data: Path
    own: Certificate
    road: Up
    key: str

    def client(self) -> httpx.Client:
        return httpx.Client(verify=self.own.trusted, base_url=self.road.dashboard)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    data, own = folder / "data", certificate(folder)
    key = said_by("keys", "add", "--store", 12, "--data", data)
    said_by("password", "set", "--data", data, typed=f"{PASSWORD}\n")
    with up(data, "--host", "0.0.0.0", *own.options) as road:
        yield Guarded(data, own, road, key)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def receipt(store: str, number: int = 1) -> bytes:
    return json.dumps(body(storeID=store, cashReceiptID=str(number))).encode()


def test_without_keys_password_and_tls_only_loopback_is_listened_on(tmp_path: Path) -> None:
    for verb, lacks in (
        ("up", "no keys, no password and no TLS"),
        ("ingest", "no keys and no TLS"),
        ("engine", "no pass"),
    ):
        code, said = call(verb, "--data", tmp_path / "data", "--host", "0.0.0.0")
        assert code == 2
        (line,) = said.splitlines()
        assert line.startswith(f"tillstream: could not listen on 0.0.0.0: others can reach it, and it has {lacks}")
    assert "`tillstream password set` and the settings tls_certificate_file and tls_key_file, or --insecure" in line


def test_who_insists_is_warned_once(tmp_path: Path) -> None:
    with up(tmp_path / "data", "--host", "0.0.0.0", "--insecure") as everywhere:
        assert everywhere.post(receipt("12")).status_code == 202
        assert everywhere.get("/api/v1/summary").status_code == 200
        assert everywhere.command.said.count("everyone who reaches this machine can") == 1


def test_a_certificate_that_is_missing_is_one_line(tmp_path: Path) -> None:
    files = ("--tls-certificate-file", "none.crt", "--tls-key-file", "none.key")
    code, said = call("up", "--data", tmp_path / "data", *files)
    assert code == 2
    assert said == (
        "tillstream: could not read the TLS file none.crt: No such file or directory; "
        "check the path, and who may read it\n"
    )


def test_a_key_posts_for_its_store_alone_and_a_stranger_for_none(guarded: Guarded) -> None:
    data = guarded.data
    with guarded.client() as client:

        def post(store: str, **headers: str) -> int:
            return client.post(f"{guarded.road.ingest}/receipt", content=receipt(store), headers=headers).status_code

        own = bearer(guarded.key)
        assert (post("12"), post("12", **bearer("nonsense")), post("13", **own)) == (401, 401, 403)
        assert post("12", **own) == 202
        code, said = call("check", "--data", data)
        assert (code, "1 records of the log = 1 receipts, 0 duplicates, 0 conflicts, 0 quarantined" in said) == (
            0,
            True,
        )
        said_by("keys", "revoke", guarded.key.split("_")[1], "--data", data)
        wait_until(lambda: post("12", **own) == 401, "the revoked key is refused", 3)


def test_the_dashboard_shows_nothing_without_its_password(guarded: Guarded) -> None:
    with guarded.client() as client:
        for path in ("/", "/api/v1/summary", "/api/v1/live", "/receipts", "/assets/style.css", "/docs"):
            assert client.get(path, headers=bearer(guarded.key)).status_code == 401
        assert client.get("/health/ready").status_code == 200
        reading = bearer(said_by("keys", "add", "--read", "--data", guarded.data))
        wait_until(lambda: client.get("/api/v1/summary", headers=reading).status_code == 200, "the key is known", 3)
        assert client.post("/login", data={"password": "croissant"}).status_code == 403
        answer = client.post("/login", data={"password": PASSWORD})
        assert (answer.status_code, "; Secure" in answer.headers["set-cookie"]) == (303, True)
        assert client.get("/api/v1/summary").status_code == 200
        said_by("password", "set", "--data", guarded.data, typed="tarte aux pommes\n")
        wait_until(lambda: client.get("/api/v1/summary").status_code == 401, "the session has ended", 3)


def test_files_are_imported_with_a_key(guarded: Guarded, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(said_by("keys", "add", "--store", 21, "--data", guarded.data) + "\n")
    file = tmp_path / "day.ndjson"
    file.write_bytes(receipt("21", 1) + b"\n" + receipt("21", 2) + b"\n")
    there = ("--to", guarded.road.ingest, "--state", tmp_path / "state", "--quiet")
    trusted = str(guarded.own.certificate)
    code, said = call("import", file, *there, SSL_CERT_FILE=trusted)
    assert (code, "it answered 401: this needs an API key" in said) == (2, True), said
    code, said = call("import", file, *there, "--key-file", key, SSL_CERT_FILE=trusted)
    assert code == 0, said
    file.write_bytes(receipt("22", 1) + b"\n")
    code, said = call("import", file, *there, "--key-file", key, SSL_CERT_FILE=trusted)
    assert (code, "this key may not post for store 22" in said) == (2, True), said
    # What one key is not for is kept nowhere, and another key sends it.
    every = tmp_path / "every"
    every.write_text(said_by("keys", "add", "--all-stores", "--data", guarded.data) + "\n")
    file.write_bytes(receipt("21", 3) + b"\n" + receipt("23", 1) + b"\n")
    code, said = call("import", file, *there, "--key-file", key, SSL_CERT_FILE=trusted)
    assert (code, "this key may not post for store 23" in said) == (1, True), said

    def taken() -> bool:
        return call("import", file, *there, "--key-file", every, SSL_CERT_FILE=trusted)[0] == 0

    wait_until(taken, "the other key is known and sends the rest", 10)
    # Who may read the data directory needs no key.
    code, said = call("import", file, "--data", guarded.data, "--state", tmp_path / "here", "--quiet")
    assert code == 0, said


def test_what_was_set_aside_is_replayed_by_those_who_log_in_and_by_verbs_on_the_machine(guarded: Guarded) -> None:
    own = bearer(said_by("keys", "add", "--store", 31, "--data", guarded.data))
    with guarded.client() as client:

        def refused(number: int) -> int:
            content = receipt("31", number).replace(b"}", b"", 1)
            return client.post(f"{guarded.road.ingest}/receipt", content=content, headers=own).status_code

        wait_until(lambda: refused(1) == 400, "the key is known", 3)
        code, said = wait_until(lambda: _listed(guarded.data), "the entry is listed")
        entry = str(json.loads(said)["entries"][0]["id"])
        as_json = {"content": b64encode(receipt("31", 1)).decode()}
        assert client.post(f"/api/v1/quarantine/{entry}/replay", json=as_json).status_code == 401
        reading = bearer(said_by("keys", "add", "--read", "--data", guarded.data))
        wait_until(lambda: client.get("/api/v1/summary", headers=reading).status_code == 200, "the key is known", 3)
        assert client.post(f"/api/v1/quarantine/{entry}/replay", json=as_json, headers=reading).status_code == 403
        said_by("password", "set", "--data", guarded.data, typed=f"{PASSWORD}\n")
        log_in = lambda: client.post("/login", data={"password": PASSWORD}).status_code == 303  # noqa: E731
        wait_until(log_in, "the password is known", 5)
        done = client.post(f"/api/v1/quarantine/{entry}/replay", json=as_json)
        assert (done.status_code, done.json()["became"]) == (200, "replayed"), done.text
        assert refused(2) == 400
        code, said = wait_until(lambda: _listed(guarded.data), "the entry is listed")
    code, said = call("quarantine", "discard", "--all", "--yes", "--data", guarded.data)
    assert code == 0, said


def _listed(data: Path) -> tuple[int, str] | None:
    code, said = call("quarantine", "list", "--json", "--data", data)
    return (code, said) if json.loads(said)["entries"] else None


def test_generated_receipts_come_with_a_key_too(guarded: Guarded, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(said_by("keys", "add", "--all-stores", "--data", guarded.data) + "\n")
    arguments = ("generate", "--url", guarded.road.ingest, "--burst", 5, "--quiet")
    trusted = str(guarded.own.certificate)
    code, said = call(*arguments, SSL_CERT_FILE=trusted)
    assert (code, "401" in said) == (1, True), said
    code, said = call(*arguments, "--key-file", file, SSL_CERT_FILE=trusted)
    assert code == 0, said
