"""What became of a file in the end, and the report of it: JSON, written as it is read from the ledger."""

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
    """Of one file. `receipts` were accepted by ingest, `refused` stand in quarantine; `total` is of a dry run."""

    file: str
    format: str = ""
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    total: str | None = None
    finished: bool = False
    already: bool = False
    """It was taken before, and nothing of it was sent."""
    resumed_at: int = 0
    """Items that an earlier, interrupted import had taken."""
    problem: str = ""
    """Why it could not be taken."""

    def enter(self, counts: Counts) -> None:
        """Take the figures over."""
        self.receipts, self.refused, self.skipped = counts.receipts, counts.refused, dict(counts.skipped)
        self.finished = counts.finished

    @property
    def fruitless(self) -> bool:
        """Whether nothing in it was of any use: no receipt, and nothing that is rightly none."""
        return bool(self.problem) or (not self.receipts and not self.skipped and self.refused > 0)


def write(file: BinaryIO, outcome: Outcome, refusals: Iterable[Refusal]) -> None:
    """The outcome as an object of JSON, with every refusal under `faults`, without ever holding them all."""
    file.write(_encode(outcome).removesuffix(b"}") + b',"faults":[')
    file.writelines((b",\n" if number else b"\n") + _encode(refusal) for number, refusal in enumerate(refusals))
    file.write(b"]}")


class Report:
    """The report of many files; closed, it is whole."""

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
    """A file that takes its name once the block has ended. Raises `OperationalError`."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            yield file
        fresh.replace(path)
    except OSError as error:
        because = error.strerror or error
        raise OperationalError("write the report", path, because, "mend that, or name another file") from error
