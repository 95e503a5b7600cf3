"""The outcome of a file's import, and the JSON report with its refusals."""

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
    """The outcome of one file: `receipts` were accepted by ingest, and `refused` ones are in quarantine."""

    file: str
    format: str = ""
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    total: str | None = None
    """Sum of the gross totals with its currency, for a dry run."""
    finished: bool = False
    already: bool = False
    """Whether an earlier import sent the whole file."""
    resumed_at: int = 0
    """Number of items that an earlier, interrupted import sent."""
    problem: str = ""
    """The reason why the file was not imported."""

    def update(self, counts: Counts) -> None:
        self.receipts, self.refused, self.skipped = counts.receipts, counts.refused, dict(counts.skipped)
        self.finished = counts.finished

    @property
    def failed(self) -> bool:
        """Whether the file has only faults: no receipt, and nothing that is skipped on purpose."""
        return bool(self.problem) or (not self.receipts and not self.skipped and self.refused > 0)


def write(file: BinaryIO, outcome: Outcome, refusals: Iterable[Refusal]) -> None:
    """Write the outcome as a JSON object. Refusals are streamed into its `faults`."""
    file.write(_encode(outcome).removesuffix(b"}") + b',"faults":[')
    file.writelines((b",\n" if number else b"\n") + _encode(refusal) for number, refusal in enumerate(refusals))
    file.write(b"]}")


class Report:
    """Writes one JSON document for many files. It is complete after `end`."""

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
    """A new file that replaces `path` at the end of the block. Raises `OperationalError`."""
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            yield file
        new.replace(path)
    except OSError as error:
        because = error.strerror or error
        raise OperationalError("write the report", path, because, "fix that, or name another file") from error
