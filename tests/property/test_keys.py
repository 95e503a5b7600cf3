"""A new key is valid, and any text similar to it is not."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from tillstream.access.keys import Key, Keys, bearer_or_basic, create, digest

entropies = st.binary(min_size=36, max_size=36)


def made(random: bytes) -> tuple[str, Keys]:
    text, number = create(lambda size: random[:4] if size == 4 else random[4:], {})
    return text, Keys.of([Key(number, digest(text), "", all_stores=True)])


@given(entropies)
def test_a_key_is_found_whatever_its_bits(random: bytes) -> None:
    text, keys = made(random)
    found = keys.find(text)
    assert found is not None
    assert found.id == random[:4].hex()
    assert (
        bearer_or_basic(f"Bearer {text}")
        == bearer_or_basic("Basic " + b64encode(f"x:{text}".encode()).decode())
        == text
    )


@given(entropies, st.integers(0, 54), st.characters())
def test_a_key_with_one_letter_changed_is_invalid(random: bytes, place: int, letter: str) -> None:
    text, keys = made(random)
    changed = text[:place] + letter + text[place + 1 :]
    assert (keys.find(changed) is not None) == (changed == text)


@given(entropies, st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_invalid(random: bytes, text: str) -> None:
    assert made(random)[1].find(text) is None
    assert bearer_or_basic(text) == "" or text.strip().lower().startswith(("bearer ", "basic "))
