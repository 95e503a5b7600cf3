"""The defaults of every decoder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable, read_up_to, shorten, text_of


class Letters(Decoder):
    """A format in which `r` is a receipt and any other letter a skip."""

    name = "letters"
    title = "Letters"
    help = "Letters."
    media_types = ("text/x-letters",)

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for letter in source.read():
            yield Record(b"%c" % letter) if letter == ord("r") else Skip(chr(letter))


letters = Letters(Settings())


def test_one_returns_the_only_receipt_of_a_payload() -> None:
    assert letters.one(b"r") == Record(b"r")
    assert letters.one(b"srs") == Record(b"r")
    assert letters.one(b"ss") == Skip("s")


def test_one_refuses_several_receipts_or_none() -> None:
    for payload, error in ((b"rr", "expected one receipt, got several"), (b"", "there is no receipt in it")):
        found = letters.one(payload)
        assert isinstance(found, Unreadable)
        assert (found.original, found.faults[0].error) == (payload, error)


def test_a_format_recognises_nothing_by_default() -> None:
    assert not letters.recognises(b"r")
    assert text_of(b"\xef\xbb\xbf \n<a>\xff") == "<a>\ufffd"


def test_a_long_text_is_shortened() -> None:
    assert (shorten("a" * 60), shorten("a" * 61)) == ("a" * 60, "a" * 60 + "…")


def test_a_source_is_read_up_to_a_limit() -> None:
    assert read_up_to(3, io.BytesIO(b"abcde")) == b"abc"
    assert read_up_to(9, io.BytesIO(b"cde"), b"ab") == b"abcde"
    assert read_up_to(1, io.BytesIO(b"cde"), b"ab") == b"a"
