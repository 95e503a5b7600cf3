"""The outcome of importing a file, and JSON reports that list outcomes and refused items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from tillstream.errors import OperationalError
from tillstream.importing.checkpoint import Counts, Refusal

_encode = msgspec.json.Encoder().encode


class Outcome(Struct, kw_only=True):
    """The outcome of one file: counts of accepted receipts, refused items, and skipped records by kind."""

    file: str
    format: str = ""
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    total: str | None = None
    """In a dry run, the sum of the gross totals, with the currency: `12.50 EUR`."""
    finished: bool = False
    already: bool = False
    """Whether an earlier import has sent the whole file."""
    resumed_at: int = 0
    """The number of items that an earlier, interrupted import has sent."""
    problem: str = ""
    """The reason why the file was not imported. It is empty if the file was imported."""

    def update(self, counts: Counts) -> None:
        self.receipts, self.refused, self.skipped = counts.receipts, counts.refused, dict(counts.skipped)
        self.finished = counts.finished

    @property
    def failed(self) -> bool:
        """Whether the file was not imported, or contains only refused items."""
        return bool(self.problem) or (not self.receipts and not self.skipped and self.refused > 0)


def write(file: BinaryIO, outcome: Outcome, refusals: Iterable[Refusal]) -> None:
    """Write the outcome as a JSON object, with the refusals in its field `faults`.

    Refusals are taken from the iterable one by one, so a large number of them needs little memory.
    """
    file.write(_encode(outcome).removesuffix(b"}") + b',"faults":[')
    file.writelines((b",\n" if number else b"\n") + _encode(refusal) for number, refusal in enumerate(refusals))
    file.write(b"]}")


class Report:
    """Writes a JSON document with the outcomes of several files. The document is complete after `end`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._files = 0
        file.write(b'{"files":[')

    def add(self, outcome: Outcome, refusals: Iterable[Refusal] = ()) -> None:
        self._file.write(b",\n" if self._files else b"\n")
        self._files += 1
        write(self._file, outcome, refusals)

    def end(self, *, interrupted: bool) -> None:
        self._file.write(b'],"interrupted":%b}\n' % (b"true" if interrupted else b"false"))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing. It replaces `path` if the block ends without an error. Raises `OperationalError`."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            yield file
        new.replace(path)
    except OSError as error:
        because = error.strerror or error
        raise OperationalError("write the report", path, because, "solve the problem or name another file") from error
