"""The page of formats describes every registered format."""

from __future__ import annotations

import pytest

from tillstream.config.settings import Settings
from tillstream.format_page import formats_page
from tillstream.formats import registry
from tillstream.formats.base import Decoder
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.ingest.openapi import OPERATIONS


@pytest.mark.parametrize("decoder", list(registry.load(Settings())), ids=lambda decoder: decoder.title)
def test_the_page_has_types_suffixes_and_example_of_every_format(decoder: Decoder) -> None:
    page = formats_page()
    assert f"\n## {decoder.title}\n" in page
    assert decoder.help in page
    assert decoder.example in page
    for name in (*decoder.media_types, *decoder.suffixes):
        assert f"application/*{name}`" in page or f"`{name}`" in page


def test_the_page_has_every_answer_of_ingest() -> None:
    assert all(f"| `{status}` |" in formats_page() for status in OPERATIONS["/receipts"][0].answers)


def test_a_new_format_changes_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs(EnvelopeDecoder):
        title = "Old tills"
        media_types = ("text/x-oldtill",)
        suffixes = (".old",)
        example = ""

    before = formats_page()
    monkeypatch.setattr(registry, "BUILT_IN", (*registry.BUILT_IN, Theirs))
    assert formats_page() != before
    assert "| [Old tills](#old-tills) | `text/x-oldtill` | `.old` |" in formats_page()
