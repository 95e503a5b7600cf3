"""The machine token gives the commands on the machine access to the ports."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tillstream.access import machine_token
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.errors import AccessError


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


def test_a_token_is_created_once_and_readable_by_its_owner_only(directory: DataDirectory) -> None:
    token = machine_token.token(directory, secrets.token_bytes)
    assert len(token) == 64
    assert machine_token.token(directory, secrets.token_bytes) == token
    assert directory.machine_token.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in directory.path.glob("machine*")] == ["machine.token"]


def test_of_two_concurrent_creations_the_first_wins(directory: DataDirectory) -> None:
    def first(size: int) -> bytes:
        directory.machine_token.write_text("0" * 64)
        return secrets.token_bytes(size)

    assert machine_token.token(directory, first) == "0" * 64


@pytest.mark.parametrize("text", ["", "short\n"])
def test_a_short_token_is_refused(directory: DataDirectory, text: str) -> None:
    directory.machine_token.write_text(text)
    with pytest.raises(AccessError, match="it is too short; remove it"):
        machine_token.token(directory, secrets.token_bytes)


def test_an_unreadable_token_is_an_error_for_servers_and_absent_for_clients(directory: DataDirectory) -> None:
    assert machine_token.authorization(directory) == {}
    directory.machine_token.mkdir()
    assert machine_token.authorization(directory) == {}
    with pytest.raises(AccessError, match=r"could not read the machine token in .*machine\.token"):
        machine_token.token(directory, secrets.token_bytes)


def test_commands_send_the_token_as_a_bearer(directory: DataDirectory) -> None:
    token = machine_token.token(directory, secrets.token_bytes)
    assert machine_token.authorization(directory) == {"Authorization": f"Bearer {token}"}


def test_only_the_complete_token_matches() -> None:
    assert machine_token.is_token("abc", "abc")
    assert not machine_token.is_token("ab", "abc")
    assert not machine_token.is_token("", "")
    assert not machine_token.is_token("é\ud800", "abc")
