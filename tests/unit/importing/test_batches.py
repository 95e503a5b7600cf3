"""Decoded items are cut into bounded batches, and every item keeps its index."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest

from tests.support.numbered_receipts import ndjson, numbered_receipt
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats.base import Decoded, Decoder, Record, Skip, Unreadable
from tillstream.formats.envelope import EnvelopeDecoder
from tillstream.formats.registry import Formats
from tillstream.importing import batches as module
from tillstream.importing.batches import Batch, batches
from tillstream.importing.source_file import open_file
from tillstream.receipt.model import Fault

SETTINGS = Settings(receipt_limit_bytes=10_000)


class Odd(Decoder):
    """A format whose file says, a line each, what is found."""

    name = "odd"
    title = "Odd"
    help = ""
    media_types = ("text/odd",)
    suffixes = (".odd",)

    def decode(self, source: BinaryIO) -> Iterator[Decoded]:
        for number, line in enumerate(source):
            kind, _, rest = line.rstrip(b"\n").partition(b" ")
            if kind == b"skip":
                yield Skip(rest.decode())
            elif kind == b"bad":
                yield Unreadable([Fault("$", rest.decode())], b"x" * 20_000, f"line {number + 1}")
            else:
                yield Record(rest.replace(b"~", b"\n"), b"original" if kind == b"with" else b"", "2026-11-22")


def cut(tmp_path: Path, content: bytes, done: int = 0) -> list[Batch]:
    path = tmp_path / "a.odd"
    path.write_bytes(content)
    with closing(open_file(path, Formats([Odd(SETTINGS)]))) as file:
        return list(batches(file, SETTINGS, SystemClock(), "import", done))


def receipts(numbers: range) -> bytes:
    return b"".join(b"is " + line + b"\n" for line in ndjson(numbers).splitlines())


def read(batch: Batch) -> list[Decoded]:
    """As ingest does."""
    return list(EnvelopeDecoder(SETTINGS).decode(io.BytesIO(b"\n".join(batch.lines))))


def test_every_item_has_its_index_and_ingest_reads_each_line(tmp_path: Path) -> None:
    body = json.dumps(numbered_receipt(1)).encode()
    content = b"skip control\nwith " + body + b"\nbad torn\nskip control\nis " + body + b"\n"
    *_, batch = cut(tmp_path, content)
    assert (batch.first, batch.end, batch.indexes, batch.skipped) == (0, 5, [1, 2, 4], {"control": 2})
    first, torn, last = read(batch)
    assert first == Record(body, b"original", "2026-11-22", "odd/import")
    assert last == Record(body, b"", "2026-11-22", "odd/import")
    assert isinstance(torn, Unreadable)
    assert (torn.source, len(torn.original), torn.faults[0].error) == ("odd/import", 10_000, "torn")
    refusal = batch.refusals[2]
    assert (refusal.index, refusal.where, refusal.errors[0].error) == (2, "line 3", "torn")


def test_batches_are_bounded_in_receipts_bytes_and_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECEIPTS_LIMIT", 10)
    assert [len(batch.lines) for batch in cut(tmp_path, receipts(range(25)))][-3:] == [10, 10, 5]
    monkeypatch.setattr(module, "BYTES_LIMIT", 1_000)
    sizes = [batch.size for batch in cut(tmp_path, receipts(range(25)))]
    assert all(size <= 1_000 for size in sizes)
    monkeypatch.setattr(module, "ITEMS_LIMIT", 7)
    ends = [batch.end for batch in cut(tmp_path, b"skip x\n" * 20)]
    assert ends == [7, 14, 20]


def test_batches_have_no_gaps_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECEIPTS_LIMIT", 4)
    content = (receipts(range(5)) + b"skip x\nbad y\n") * 4
    cuts = cut(tmp_path, content, done=9)
    assert [batch.first for batch in cuts] == [9, *(batch.end for batch in cuts[:-1])]
    assert cuts[-1].end == 28
    assert [place for batch in cuts for place in batch.indexes] == [index for index in range(9, 28) if index % 7 != 5]
    assert sum(batch.skipped["x"] for batch in cuts) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'is {"storeID": ', "not JSON: Input data was truncated"),
        (b"is ", "it is empty"),
        (b'is {"a": "' + b"x" * 40_000 + b'"}', "the receipt takes 40009 bytes, more than 10000"),
    ],
)
def test_a_body_that_fits_no_line_is_refused_and_the_others_are_not_affected(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    *_, batch = cut(tmp_path, receipts(range(1)) + line + b"\n" + receipts(range(1, 2)))
    assert batch.refusals[1].errors[0].error == reason
    assert batch.refusals[1].where == "record 2"
    good, bad, other = read(batch)
    assert isinstance(good, Record)
    assert isinstance(other, Record)
    assert isinstance(bad, Unreadable)
    assert bad.original.startswith(line[3:][:10_000])


def test_a_body_with_line_ends_becomes_one_line_and_keeps_its_bytes_as_original(tmp_path: Path) -> None:
    *_, batch = cut(tmp_path, b'is {"a": 1.10,~ "b": "x"}\n')
    (record,) = read(batch)
    assert record == Record(b'{"a":1.10,"b":"x"}', b'{"a": 1.10,\n "b": "x"}', "2026-11-22", "odd/import")


def test_ingest_reads_the_line_of_a_very_large_original(tmp_path: Path) -> None:
    *_, batch = cut(tmp_path, b'is {"a":' + b" " * 29_000 + b"1}\n")
    assert read(batch)
