"""The password is stored as a slow, salted hash in a private file."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import structlog.testing

from tests.inprocess.clock import ManualClock
from tillstream.access import password
from tillstream.access.password import Password, PasswordRepository
from tillstream.errors import AccessError

TEXT = "pain au levain"


@pytest.fixture(scope="module")
def made() -> Password:
    return password.create(TEXT, secrets.token_bytes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "password.json"


def test_only_the_same_text_matches(made: Password) -> None:
    assert made.matches(TEXT)
    assert not made.matches(TEXT + " ")
    assert not made.matches("")
    assert not made.matches(made.digest)


def test_other_encodings_of_the_same_letters_match(made: Password) -> None:
    composed = password.create("crème brûlée", secrets.token_bytes)
    assert composed.matches("cre\u0300me bru\u0302le\u0301e")


def test_the_same_password_has_a_new_hash_each_time(made: Password) -> None:
    again = password.create(TEXT, secrets.token_bytes)
    assert (again.salt == made.salt, again.digest == made.digest) == (False, False)
    assert TEXT not in repr(made)


@pytest.mark.parametrize("text", ["", "brioche", "x" * 1001])
def test_a_password_of_the_wrong_length_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(AccessError, match=f"could not set the password: it has {len(text)} characters; use 10 to"):
        password.create(text, secrets.token_bytes)


def test_the_file_is_readable_by_its_owner_only_and_can_be_cleared(file: Path, made: Password) -> None:
    assert password.read(file) is None
    password.write(file, made)
    assert password.read(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert (password.clear(file), password.clear(file)) == (True, False)
    assert password.read(file) is None


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("{", "Input data was truncated"),
        ('{"version": 2}', "its version is 2, and this tillstream reads versions up to 1; install"),
        ('{"version": 1, "salt": ""}', "missing required field `digest`"),
    ],
)
def test_an_unusable_password_file_is_refused_with_the_cause(file: Path, text: str, because: str) -> None:
    file.write_text(text)
    with pytest.raises(AccessError) as caught:
        PasswordRepository(file, ManualClock(0))
    assert f"could not read the password in {file}: " in str(caught.value)
    assert because in str(caught.value)


def test_a_new_password_is_read_and_a_damaged_file_leaves_it_valid(file: Path, made: Password) -> None:
    clock = ManualClock(0)
    kept = PasswordRepository(file, clock)
    assert kept() is None
    password.write(file, made)
    clock.advance(1)
    assert kept() == made
    file.write_text("{")
    clock.advance(1)
    with structlog.testing.capture_logs() as logged:
        assert kept() == made
    assert [(entry["event"], entry["passwords_in_force"]) for entry in logged] == [("password.unreadable", 1)]


def test_an_unwritable_file_is_reported(tmp_path: Path, made: Password) -> None:
    with pytest.raises(AccessError, match=r"could not save the password in .*: No such file"):
        password.write(tmp_path / "missing" / "password.json", made)
