"""Keys are random, stored as hashes, and found only by their exact text."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from tillstream.access.keys import KEY, Key, Keys, bearer_or_basic, create, digest


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
