"""What every format inherits: one receipt is one, several are not, and skips are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable, text_of


class Letters(Decoder):
    """`r` is a receipt, `s` a skip."""

    name = "letters"
    title = "Letters"
    help = "Letters."
    media_types = ("text/x-letters",)

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for letter in source.read():
            yield Record(b"%c" % letter) if letter == ord("r") else Skip(chr(letter))


letters = Letters(Settings())


def test_one_receipt_is_the_payloads_only_one() -> None:
    assert letters.one(b"r") == Record(b"r")
    assert letters.one(b"srs") == Record(b"r")
    assert letters.one(b"ss") == Skip("s")


def test_several_or_none_are_not_one() -> None:
    for payload, error in ((b"rr", "expected one receipt, got several"), (b"", "there is no receipt in it")):
        found = letters.one(payload)
        assert isinstance(found, Unreadable)
        assert (found.original, found.faults[0].error) == (payload, error)


def test_nothing_is_recognised_unless_a_format_says_so() -> None:
    assert not letters.recognises(b"r")
    assert text_of(b"\xef\xbb\xbf \n<a>\xff") == "<a>\ufffd"
