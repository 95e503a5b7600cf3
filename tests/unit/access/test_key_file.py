"""The key file is private, and a changed, damaged or missing file never opens the ports."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from tillstream.access import key_file
from tillstream.access.key_file import KeyRepository, changing, path, read
from tillstream.access.keys import Key, Keys
from tillstream.clock import ManualClock
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def key(number: str, **changes: object) -> Key:
    return Key(number, "0" * 64, "2026-11-24T10:00:00Z", **{"all_stores": True, **changes})  # type: ignore[arg-type]


def keep(file: Path, *keys: Key) -> None:
    with changing(file) as (_, write):
        write(Keys.of(keys))


def test_the_key_file_is_in_the_data_directory_or_at_the_path_of_the_setting(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "data")
    assert path(directory, Settings()) == directory.keys
    assert path(directory, Settings(keys_file="/etc/tillstream/keys.json")) == Path("/etc/tillstream/keys.json")


def test_saved_keys_are_read_back_and_the_file_is_private(file: Path) -> None:
    assert read(file) == Keys()
    kept = key("1", name="Rennes", stores=("12", "13"), all_stores=False, reads=True, revoked="2026-11-24T11:00:00Z")
    keep(file, kept, key("2"))
    assert read(file).by_id == {"1": kept, "2": key("2")}
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_shared_with_a_group_stays_shared(file: Path) -> None:
    keep(file, key("1"))
    file.chmod(0o640)
    keep(file, key("2"))
    assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "Input data was truncated"),
        ('{"version": 2, "keys": []}', "its version is 2, and this tillstream reads versions up to 1; install"),
        ('{"version": 1, "keys": [{"id": "1"}]}', "missing required field `digest`"),
        ('{"version": 1, "keys": [{"id": "1", "digest": "", "made": "", "admin": true}]}', "unknown field `admin`"),
    ],
)
def test_an_unusable_key_file_is_refused_with_the_cause(file: Path, text: str, because: str) -> None:
    file.write_text(text)
    with pytest.raises(AccessError) as caught:
        KeyRepository(file, ManualClock(0))
    assert f"could not read the keys in {file}: " in str(caught.value)
    assert because in str(caught.value)


def test_a_failed_change_leaves_the_keys_unchanged(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(file, key("1"))
    monkeypatch.setattr(key_file, "KEYS_LIMIT", 1)
    with pytest.raises(AccessError, match="revoke some first"):
        keep(file, key("1"), key("2"))
    assert list(read(file).by_id) == ["1"]
    with pytest.raises(AccessError, match=r"save keys in .*: No such file or directory"):
        keep(tmp_path / "missing" / "keys.json", key("1"))


def test_above_the_limit_the_oldest_revoked_keys_are_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_file, "KEYS_LIMIT", 3)
    gone = "2026-11-24T11:00:00Z"
    keep(file, key("1", revoked=gone), key("2"), key("3", revoked=gone), key("4"))
    assert list(read(file).by_id) == ["2", "3", "4"]


def test_a_key_of_another_process_is_read_within_a_second(file: Path) -> None:
    clock = ManualClock(0)
    keys = KeyRepository(file, clock)
    assert keys() == Keys()
    keep(file, key("1"))
    clock.advance(1)
    assert list(keys().by_id) == ["1"]


def test_a_damaged_or_missing_file_is_logged_once_and_the_keys_stay_valid(file: Path) -> None:
    keep(file, key("1"))
    clock = ManualClock(0)
    keys = KeyRepository(file, clock)
    assert list(keys().by_id) == ["1"]
    with structlog.testing.capture_logs() as logged:
        for change in (lambda: file.write_text("{"), file.unlink):
            change()
            for _ in range(3):
                clock.advance(1)
                assert list(keys().by_id) == ["1"]
    assert [entry["event"] for entry in logged] == ["keys.unreadable"] * 2
    assert "the keys are gone; restore it" in logged[1]["error"]
    assert logged[1]["keys_in_force"] == 1
