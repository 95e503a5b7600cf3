"""Keys and currencies of the canonical receipt."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from tillstream.receipt.model import Fault, receipt_key

IDS = st.tuples(st.text(), st.text(), st.text(), st.text())


def test_a_key_is_the_hash_of_its_parts_and_their_lengths() -> None:
    written = b"2:12" + b"1:3" + "3:été".encode() + b"19:2026-11-23 11:59:58"
    assert receipt_key("12", "3", "été", "2026-11-23 11:59:58") == blake2b(written, digest_size=16).hexdigest()


@given(IDS, IDS)
def test_different_parts_have_different_keys(one: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> None:
    assert (receipt_key(*one) == receipt_key(*other)) == (one == other)


def test_a_fault_becomes_plain_data() -> None:
    assert to_builtins(Fault("$.a", "wrong", "mend")) == {"path": "$.a", "error": "wrong", "hint": "mend"}
