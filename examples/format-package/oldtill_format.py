"""A format for the receipts of an old till: a receipt is a block of lines, whose fields are separated by bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable, text_of
from tillstream.formats.canonical import amount, encode
from tillstream.formats.json import lines
from tillstream.receipt.model import Fault

HEAD = ("storeID", "terminalID", "cashReceiptID", "date")
LINE = ("productCode", "productDescription", "quantity", "settlementAmount", "taxPercentage")
PAYMENT = ("paymentMechanism", "settlementAmount")
TOTAL = ("grossTotal", "taxPayable")
TEXTS = {*HEAD, "productCode", "productDescription", "paymentMechanism"}


class OldTillDecoder(Decoder):
    """Decodes receipts, which begin with an `H` line and end with a `T` line. `Z` lines, at closing time, are skipped."""

    name = "oldtill"
    title = "Old till"
    help = (
        "Lines with fields that are separated by bars. `H` starts a receipt (store, till, number, date), `L` is a line "
        "(code, name, quantity, gross, VAT rate), `P` is a payment (mechanism, amount), and `T` ends the receipt (gross, "
        "tax). `Z` lines are skipped."
    )
    media_types = ("text/vnd.example.oldtill",)
    suffixes = (".old",)
    example = "H|12|2|1047|2026-11-23 10:15:00\nL|0102|Baguette|2|2.40|5.5\nP|CB|2.40\nT|2.40|0.12\n"

    def recognises(self, head: bytes) -> bool:
        return text_of(head).startswith(("H|", "Z|"))

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        limit, block, first = self.settings.receipt_limit_bytes, b"", 1
        for number, line in lines(source, limit):
            if isinstance(line, Unreadable):
                yield line
            elif line.startswith(b"Z|"):
                yield Skip("Z")
            elif line.strip():
                # An H line before the T line means that the previous receipt is incomplete.
                if block and (line.startswith(b"H|") or len(block) + len(line) > limit):
                    yield _receipt(block, f"line {first}")
                    block = b""
                first = first if block else number
                block += line
                if line.startswith(b"T|"):
                    yield _receipt(block, f"line {first}")
                    block = b""
        if block:
            yield _receipt(block, f"line {first}")


def _receipt(block: bytes, where: str) -> Decoded:
    rows = [line.rstrip("\r").split("|") for line in block.decode("utf-8", "replace").split("\n") if line.strip()]
    if rows[0][0] != "H" or rows[-1][0] != "T":
        return Unreadable([Fault("$", "expected lines from H to T", "send complete receipts")], block, where)
    body = {
        **_named(HEAD, rows[0]),
        "lines": [_named(LINE, row) for row in rows if row[0] == "L"],
        "documentTotal": _named(TOTAL, rows[-1]),
        "settlements": [_named(PAYMENT, row) for row in rows if row[0] == "P"],
    }
    # Validation reports missing fields and invalid amounts.
    return Record(encode(body), block)


def _named(names: tuple[str, ...], row: list[str]) -> dict[str, object]:
    fields = zip(names, row[1:], strict=False)
    return {name: text if name in TEXTS else amount(text) for name, text in fields if text}
