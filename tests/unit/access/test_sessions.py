"""Sessions survive a restart, and end with the password."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import structlog.testing

from tests.inprocess.clock import ManualClock
from tillstream.access import sessions as sessions_module
from tillstream.access.sessions import Sessions

SALT = "a1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sessions.json"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_795_435_200_000_000)


def sessions(file: Path, clock: ManualClock) -> Sessions:
    return Sessions(file, clock, secrets.token_bytes, hours=2)


def test_a_session_ends_after_its_lifetime(file: Path, clock: ManualClock) -> None:
    open_ = sessions(file, clock)
    assert open_.lifetime_s == 7_200
    token = open_.open(SALT)
    clock.advance(7_199)
    assert open_.is_active(token, SALT)
    clock.advance(1)
    assert not open_.is_active(token, SALT)


def test_an_unknown_token_has_no_session(file: Path, clock: ManualClock) -> None:
    open_ = sessions(file, clock)
    token = open_.open(SALT)
    assert not open_.is_active(token[:-1], SALT)
    assert not open_.is_active("", SALT)
    assert not open_.is_active("\ud800", SALT)


def test_a_session_survives_a_restart_and_its_token_is_not_stored(file: Path, clock: ManualClock) -> None:
    token = sessions(file, clock).open(SALT)
    assert sessions(file, clock).is_active(token, SALT)
    assert token not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_closed_session_stays_closed_after_a_restart_and_others_stay_open(file: Path, clock: ManualClock) -> None:
    open_ = sessions(file, clock)
    token, other = open_.open(SALT), open_.open(SALT)
    open_.close(token)
    open_.close("never opened")
    for each in (open_, sessions(file, clock)):
        assert (each.is_active(token, SALT), each.is_active(other, SALT)) == (False, True)


def test_a_new_password_ends_every_session(file: Path, clock: ManualClock) -> None:
    open_ = sessions(file, clock)
    token = open_.open(SALT)
    assert not open_.is_active(token, "b2")
    open_.open("b2")
    assert not open_.is_active(token, SALT)


def test_above_the_limit_the_oldest_sessions_end(
    file: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "SESSIONS_LIMIT", 2)
    open_ = sessions(file, clock)
    first, second, third = (open_.open(SALT) for _ in range(3))
    assert [open_.is_active(token, SALT) for token in (first, second, third)] == [False, True, True]


@pytest.mark.parametrize("text", ["{", '{"version": 1}', '{"version": 9, "sessions": {}}'])
def test_an_unreadable_file_ends_every_session(file: Path, clock: ManualClock, text: str) -> None:
    token = sessions(file, clock).open(SALT)
    file.write_text(text)
    open_ = sessions(file, clock)
    assert not open_.is_active(token, SALT)
    assert open_.is_active(open_.open(SALT), SALT)


def test_a_failed_save_is_logged_and_the_session_stays_active(tmp_path: Path, clock: ManualClock) -> None:
    open_ = sessions(tmp_path / "missing" / "sessions.json", clock)
    with structlog.testing.capture_logs() as logged:
        assert open_.is_active(open_.open(SALT), SALT)
    assert [entry["event"] for entry in logged] == ["sessions.not_saved"]
