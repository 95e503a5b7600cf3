"""The stored progress of one file's import: counts, refusals, and the items that ingest has acknowledged."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import msgspec
from msgspec import Struct

import tillstream
from tillstream.errors import OperationalError
from tillstream.receipt.model import Fault

REFUSALS_LIMIT = 100_000
"""Maximum number of refusals stored per file. Further ones are only counted; all are in quarantine."""

FILES_LIMIT = 10_000
"""Maximum number of files for which checkpoints are kept."""

_SUFFIX = ".json"
_REFUSALS_SUFFIX = ".faults"

_encode = msgspec.json.Encoder().encode


class Refusal(Struct, frozen=True):
    """An item that is not a receipt: its index in the file from 0, its location as text, and all its faults."""

    index: int
    where: str
    errors: Sequence[Fault]

    @classmethod
    def of(cls, index: int, errors: Sequence[Fault], where: str = "") -> Refusal:
        """A refusal of an item. Without `where`, its location is the number of its record."""
        return cls(index, where or f"record {index + 1}", errors)


class Counts(Struct, kw_only=True):
    """The first `done` items are acknowledged: receipts that ingest accepted, refused ones, and skipped ones by kind."""

    version: str = tillstream.__version__
    done: int = 0
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    refusals_bytes: int = 0
    finished: bool = False
    target: str = ""
    """The path in the inbox to which the finished file moves."""


class Checkpoint:
    """The checkpoint with this key. Only one process can have it open at a time. Raises `OperationalError` if it cannot be stored."""

    def __init__(self, directory: Path, key: str) -> None:
        name = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = directory / f"{name}{_SUFFIX}"
        self._refusals_path = directory / f"{name}{_REFUSALS_SUFFIX}"
        with _storing_in(directory):
            # Only the owner may read refusals, because they may name customers.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refusals: BinaryIO = os.fdopen(os.open(self._refusals_path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
            try:
                _lock(self._refusals)
                self.counts = _read(self._path)
                self._truncate()
            except BaseException:
                self._refusals.close()
                raise

    def reset(self) -> None:
        """Start again at the beginning of the file."""
        self.counts = Counts()
        self._truncate()

    def add(
        self,
        end: int,
        *,
        receipts: int = 0,
        skipped: Mapping[str, int] = MappingProxyType({}),
        refusals: Collection[Refusal] = (),
    ) -> None:
        """Count the items up to but not including `end` as acknowledged."""
        counts = self.counts
        with _storing_in(self._path.parent):
            for refusal in islice(refusals, max(0, REFUSALS_LIMIT - counts.refused)):
                counts.refusals_bytes += self._refusals.write(_encode(refusal) + b"\n")
        counts.done = end
        counts.receipts += receipts
        counts.refused += len(refusals)
        for kind, number in skipped.items():
            counts.skipped[kind] = counts.skipped.get(kind, 0) + number

    def save(self) -> None:
        """Store the progress, without fsync. After a power failure, lost items are sent again and count once."""
        new = self._path.with_name(f"{self._path.name}.new")
        with _storing_in(self._path.parent):
            self._refusals.flush()
            new.write_bytes(_encode(self.counts))
            new.replace(self._path)

    def refusals(self) -> Iterator[Refusal]:
        """The stored refusals in the order of the file."""
        self._refusals.flush()
        with self._refusals_path.open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=Refusal)

    def remove(self) -> None:
        """Delete the stored progress."""
        self._path.unlink(missing_ok=True)
        self._refusals_path.unlink(missing_ok=True)

    def close(self) -> None:
        if not self.counts.refusals_bytes:
            self._refusals_path.unlink(missing_ok=True)
        self._refusals.close()

    def _truncate(self) -> None:
        """Remove refusals that were written after the counts were last saved."""
        counts = self.counts
        if self._refusals.seek(0, os.SEEK_END) < counts.refusals_bytes:
            self.counts = counts = Counts()
        self._refusals.truncate(counts.refusals_bytes)
        self._refusals.seek(counts.refusals_bytes)


def prune(directory: Path) -> None:
    """Delete the oldest checkpoints beyond `FILES_LIMIT`."""
    with suppress(OSError):
        newest_first = sorted(directory.glob(f"*{_SUFFIX}"), key=lambda path: -path.stat().st_mtime)
        for path in newest_first[FILES_LIMIT:]:
            path.unlink()
            path.with_suffix(_REFUSALS_SUFFIX).unlink(missing_ok=True)


def _lock(file: BinaryIO) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "wait until it ends"
        raise OperationalError("import", "the file", "another import of it is running", hint) from None
    except OSError:
        # Some network drives have no locks. Two imports of one file still count each receipt once.
        return


def _read(path: Path) -> Counts:
    """The stored counts. Progress of another version is ignored, because its decoders may find other items."""
    try:
        counts = msgspec.json.decode(path.read_bytes(), type=Counts)
    except (FileNotFoundError, msgspec.DecodeError):
        return Counts()
    return counts if counts.finished or counts.version == tillstream.__version__ else Counts()


@contextmanager
def _storing_in(directory: Path) -> Iterator[None]:
    """Raise `OperationalError` for an `OSError` of the block."""
    try:
        yield
    except OSError as error:
        target, because = f"the progress of the import in {directory}", error.strerror or error
        raise OperationalError("store", target, because, "use --state DIRECTORY") from error
