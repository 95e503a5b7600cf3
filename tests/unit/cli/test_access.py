"""`tillstream keys` and `tillstream password`: secrets are shown at most once, and messages name the next step."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tillstream.access import password
from tillstream.access.keys import KEY, Key, Keys, read_keys
from tillstream.cli.main import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def call(data: Path, *arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--data", str(data)], input=typed)


def added(data: Path, *arguments: str) -> str:
    result = call(data, "keys", "add", *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def stored_keys(data: Path) -> Keys:
    return read_keys(data / "keys.json")


def found(data: Path, text: str) -> Key:
    key = stored_keys(data).find(text)
    assert key is not None
    return key


def test_a_key_is_printed_alone_and_its_hash_is_stored(data: Path) -> None:
    result = call(data, "keys", "add", "--store", "12", "--store", "13", "--store", "12", "--name", "Rennes")
    text = result.stdout.strip()
    assert KEY.fullmatch(text)
    key = found(data, text)
    assert (key.name, key.stores, key.all_stores, key.reads) == ("Rennes", ("12", "13"), False, False)
    assert result.stderr.splitlines() == [
        f"key {key.id} posts for store 12, 13; it is not shown again, so keep it safe",
        "ingest now refuses receipts without a key",
    ]
    assert text.split("_", 2)[2] not in (data / "keys.json").read_text()


def test_keys_may_post_for_all_stores_and_read(data: Path) -> None:
    reading = found(data, added(data, "--read"))
    assert (reading.posts, reading.reads) == (False, True)
    both = found(data, added(data, "--all-stores", "--read"))
    assert (both.all_stores, both.reads) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a key needs a purpose: --store ID, --all-stores or --read"),
        (("--store", "1", "--all-stores"), "--store and --all-stores exclude each other"),
        (("--store", ""), "printable"),
        (("--store", "1", "--name", "a\nb"), "printable"),
    ],
)
def test_a_key_without_a_valid_purpose_is_refused(data: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call(data, "keys", "add", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert not (data / "keys.json").exists()


def test_the_list_shows_purposes_and_never_the_keys(data: Path) -> None:
    text = added(data, "--store", "12", "--name", "[b]Rennes")
    output = call(data, "keys", "list").stdout
    assert text.split("_")[1] in output
    assert "[b]Rennes" in output
    assert "posts for store 12" in output
    assert text not in output


def test_an_empty_list_says_how_to_create_a_key(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    assert "create one with `tillstream keys add" in call(data, "keys", "list").stdout


def test_a_revoked_key_is_invalid_and_stays_in_the_file(data: Path) -> None:
    text = added(data, "--store", "12")
    number = text.split("_")[1]
    assert call(data, "keys", "revoke", number).stdout == f"key {number} is revoked\n"
    assert stored_keys(data).find(text) is None
    assert stored_keys(data).guard_ingest
    again = call(data, "keys", "revoke", number)
    assert (again.exit_code, "it was already revoked at " in again.stderr) == (2, True)
    unknown = call(data, "keys", "revoke", "nope")
    assert "could not revoke the key nope: it does not exist; see `tillstream keys list`" in unknown.stderr


def test_keys_may_be_in_a_shared_file(data: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    text = added(data, "--store", "12", "--keys-file", str(shared))
    assert read_keys(shared).find(text) is not None
    assert not (data / "keys.json").exists()


def test_a_password_is_read_from_one_line_and_cleared(data: Path) -> None:
    result = call(data, "password", "set", typed="pain au levain\n")
    assert (result.exit_code, result.stdout) == (0, "the password is set; the dashboard requires it\n")
    stored = password.read(data / "password.json")
    assert stored is not None
    assert stored.matches("pain au levain")
    output = call(data, "password", "clear").stdout
    assert output == "the password is removed; the dashboard is open to every client\n"
    assert call(data, "password", "clear").stdout == "there was no password\n"


def test_a_password_that_is_too_short_changes_nothing(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    before = (data / "password.json").read_bytes()
    result = call(data, "password", "set", typed="pain\n")
    assert (result.exit_code, "it has 4 characters" in result.stderr) == (2, True)
    assert (data / "password.json").read_bytes() == before


def test_clearing_a_required_password_prevents_logins(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    output = call(data, "password", "clear", "--access", "on").stdout
    assert output == "the password is removed; nobody can log in until a new password is set\n"
