"""Given a data directory; when keys and the password are managed; then what is said helps, and secrets are shown once."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tillstream.access import key_file, password
from tillstream.access.keys import KEY, Key, Keys
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


def kept(data: Path) -> Keys:
    return key_file.read(data / "keys.json")


def found(data: Path, text: str) -> Key:
    key = kept(data).find(text)
    assert key is not None
    return key


def test_a_key_is_printed_alone_and_its_hash_is_kept(data: Path) -> None:
    result = call(data, "keys", "add", "--store", "12", "--store", "13", "--store", "12", "--name", "Rennes")
    text = result.stdout.strip()
    assert KEY.fullmatch(text)
    key = found(data, text)
    assert (key.name, key.stores, key.all_stores, key.reads) == ("Rennes", ("12", "13"), False, False)
    assert result.stderr.splitlines() == [
        f"key {key.id} posts for store 12, 13; it is shown this once, so keep it safe",
        "from now on ingest takes no receipt without a key",
    ]
    assert text.split("_", 2)[2] not in (data / "keys.json").read_text()


def test_keys_are_for_all_stores_or_for_reading_too(data: Path) -> None:
    reading = found(data, added(data, "--read"))
    assert (reading.posts, reading.reads) == (False, True)
    both = found(data, added(data, "--all-stores", "--read"))
    assert (both.all_stores, both.reads) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name what it is for: --store ID, --all-stores or --read"),
        (("--store", "1", "--all-stores"), "choose one of --store and --all-stores"),
        (("--store", ""), "printable"),
        (("--store", "1", "--name", "a\nb"), "printable"),
    ],
)
def test_a_key_for_nothing_is_not_made(data: Path, arguments: tuple[str, ...], said: str) -> None:
    result = call(data, "keys", "add", *arguments)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
    assert not (data / "keys.json").exists()


def test_the_list_shows_what_keys_are_for_and_never_the_keys(data: Path) -> None:
    text = added(data, "--store", "12", "--name", "[b]Rennes")
    said = call(data, "keys", "list").stdout
    assert text.split("_")[1] in said
    assert "[b]Rennes" in said
    assert "posts for store 12" in said
    assert text not in said


def test_an_empty_list_says_how_to_begin(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    assert "make one with `tillstream keys add" in call(data, "keys", "list").stdout


def test_a_revoked_key_opens_nothing_and_stays_listed(data: Path) -> None:
    text = added(data, "--store", "12")
    number = text.split("_")[1]
    assert call(data, "keys", "revoke", number).stdout == f"key {number} is revoked\n"
    assert kept(data).find(text) is None
    assert kept(data).guard_ingest
    again = call(data, "keys", "revoke", number)
    assert (again.exit_code, "it was revoked at " in again.stderr) == (2, True)
    unknown = call(data, "keys", "revoke", "nope")
    assert (
        "could not revoke the key nope: there is none of that id; `tillstream keys list` shows them" in unknown.stderr
    )


def test_keys_may_stand_in_a_file_of_their_own(data: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    text = added(data, "--store", "12", "--keys-file", str(shared))
    assert key_file.read(shared).find(text) is not None
    assert not (data / "keys.json").exists()


def test_a_password_is_read_from_one_line_and_cleared(data: Path) -> None:
    result = call(data, "password", "set", typed="pain au levain\n")
    assert (result.exit_code, result.stdout) == (0, "the password is set; the dashboard asks for it\n")
    made = password.read(data / "password.json")
    assert made is not None
    assert made.matches("pain au levain")
    said = call(data, "password", "clear").stdout
    assert said == "the password is gone; the dashboard is open to whoever reaches it\n"
    assert call(data, "password", "clear").stdout == "there was no password\n"


def test_a_password_that_is_too_short_changes_nothing(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    before = (data / "password.json").read_bytes()
    result = call(data, "password", "set", typed="pain\n")
    assert (result.exit_code, "it has 4 characters" in result.stderr) == (2, True)
    assert (data / "password.json").read_bytes() == before


def test_where_a_password_is_always_asked_for_clearing_it_locks_the_door(data: Path) -> None:
    call(data, "password", "set", typed="pain au levain\n")
    said = call(data, "password", "clear", "--access", "on").stdout
    assert said == "the password is gone; nobody can log in until another is set\n"
