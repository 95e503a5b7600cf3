"""Keys are random, stored as hashes and found by exact text; a damaged or missing key file never opens the ports."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog.testing

from tests.inprocess.clock import ManualClock
from tillstream.access import keys as keys_module
from tillstream.access.keys import (
    KEY,
    Key,
    KeyRepository,
    Keys,
    bearer_or_basic,
    changing_keys,
    create,
    digest,
    key_file,
    read_keys,
)
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


def entropy(*parts: bytes) -> Callable[[int], bytes]:
    left = list(parts)

    def take(size: int) -> bytes:
        part = left.pop(0)
        assert len(part) == size
        return part

    return take


def known(text: str, number: str, **changes: object) -> Key:
    return Key(number, digest(text), "2026-11-24T10:00:00Z", **{"stores": ("12",), **changes})  # type: ignore[arg-type]


def test_a_new_key_has_a_prefix_its_id_and_256_random_bits() -> None:
    text, number = create(entropy(b"\x01\x02\x03\x04", b"\xff" * 32), {})
    assert (text, number) == ("ts_01020304_" + "_" * 42 + "8", "01020304")
    assert KEY.fullmatch(text)


def test_ids_are_unique() -> None:
    taken = {"01020304": known("x", "01020304")}
    _, number = create(entropy(b"\x01\x02\x03\x04", b"\x01\x02\x03\x05", b"\x00" * 32), taken)
    assert number == "01020305"


def test_a_key_is_found_by_its_text() -> None:
    (first, one), (second, two) = (create(secrets.token_bytes, {}) for _ in range(2))
    keys = Keys.of([known(first, one), known(second, two)])
    assert keys.find(first) is keys.by_id[one]
    assert keys.find(second) is keys.by_id[two]


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text[:-1], lambda text: text + "a", lambda text: " " + text]
)
def test_a_text_that_differs_from_the_key_finds_nothing(change: Callable[[str], str]) -> None:
    text, number = create(secrets.token_bytes, {})
    assert Keys.of([known(text, number)]).find(change(text)) is None


def test_the_secret_of_another_key_is_invalid() -> None:
    (first, one), (second, two) = (create(secrets.token_bytes, {}) for _ in range(2))
    mixed = f"ts_{one}_{second.split('_', 2)[2]}"
    assert Keys.of([known(first, one), known(second, two)]).find(mixed) is None
    assert Keys.of([known(first, one)]).find(second) is None


def test_the_stored_digest_is_not_a_valid_key() -> None:
    text, number = create(secrets.token_bytes, {})
    key = known(text, number)
    assert Keys.of([key]).find(key.digest) is None
    assert text.split("_", 2)[2] not in repr(key)


def test_a_revoked_key_is_invalid_and_keys_stay_required() -> None:
    text, number = create(secrets.token_bytes, {})
    keys = Keys.of([known(text, number, revoked="2026-11-24T11:00:00Z")])
    assert keys.find(text) is None
    assert keys.guard_ingest


def test_only_a_key_that_posts_makes_keys_required() -> None:
    assert not Keys().guard_ingest
    assert not Keys.of([known("x", "1", stores=(), reads=True)]).guard_ingest
    assert Keys.of([known("x", "1", stores=(), all_stores=True)]).guard_ingest


@pytest.mark.parametrize(
    ("header", "given"),
    [
        *[("Bearer k", "k"), ("bearer  k ", "k"), ("Bearer", ""), ("", ""), ("k", ""), ("Digest k", "")],
        *[("Basic YTpr", "k"), ("basic Oms=", "k"), ("Basic YQ==", ""), ("Basic k", ""), ("Basic /w==", "")],
    ],
)
def test_programs_send_a_key_by_bearer_and_browsers_as_a_password(header: str, given: str) -> None:
    assert bearer_or_basic(header) == given


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def key(number: str, **changes: object) -> Key:
    return Key(number, "0" * 64, "2026-11-24T10:00:00Z", **{"all_stores": True, **changes})  # type: ignore[arg-type]


def keep(file: Path, *keys: Key) -> None:
    with changing_keys(file) as (_, write):
        write(Keys.of(keys))


def test_the_key_file_is_in_the_data_directory_or_at_the_path_of_the_setting(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "data")
    assert key_file(directory, Settings()) == directory.keys
    assert key_file(directory, Settings(keys_file="/etc/tillstream/keys.json")) == Path("/etc/tillstream/keys.json")


def test_saved_keys_are_read_back_and_the_file_is_private(file: Path) -> None:
    assert read_keys(file) == Keys()
    kept = key("1", name="Rennes", stores=("12", "13"), all_stores=False, reads=True, revoked="2026-11-24T11:00:00Z")
    keep(file, kept, key("2"))
    assert read_keys(file).by_id == {"1": kept, "2": key("2")}
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
    monkeypatch.setattr(keys_module, "KEYS_LIMIT", 1)
    with pytest.raises(AccessError, match="revoke keys first"):
        keep(file, key("1"), key("2"))
    assert list(read_keys(file).by_id) == ["1"]
    with pytest.raises(AccessError, match=r"save keys in .*: No such file or directory"):
        keep(tmp_path / "missing" / "keys.json", key("1"))


def test_above_the_limit_the_oldest_revoked_keys_are_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "KEYS_LIMIT", 3)
    gone = "2026-11-24T11:00:00Z"
    keep(file, key("1", revoked=gone), key("2"), key("3", revoked=gone), key("4"))
    assert list(read_keys(file).by_id) == ["2", "3", "4"]


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
