"""A new key is valid, and any text similar to it is not."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from tillstream.access.keys import Key, Keys, bearer_or_basic, create, digest

entropies = st.binary(min_size=36, max_size=36)


def created_key(random: bytes) -> tuple[str, Keys]:
    text, number = create(lambda size: random[:4] if size == 4 else random[4:], {})
    return text, Keys.of([Key(number, digest(text), "", all_stores=True)])


@given(entropies)
def test_every_created_key_is_found(random: bytes) -> None:
    text, keys = created_key(random)
    found = keys.find(text)
    assert found is not None
    assert found.id == random[:4].hex()
    assert (
        bearer_or_basic(f"Bearer {text}")
        == bearer_or_basic("Basic " + b64encode(f"x:{text}".encode()).decode())
        == text
    )


@given(entropies, st.integers(0, 54), st.characters())
def test_a_key_with_one_letter_changed_is_invalid(random: bytes, index: int, letter: str) -> None:
    text, keys = created_key(random)
    changed = text[:index] + letter + text[index + 1 :]
    assert (keys.find(changed) is not None) == (changed == text)


@given(entropies, st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_other_text_is_invalid(random: bytes, text: str) -> None:
    assert created_key(random)[1].find(text) is None
    assert bearer_or_basic(text) == "" or text.strip().lower().startswith(("bearer ", "basic "))
