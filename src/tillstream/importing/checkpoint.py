"""Checkpoints. A checkpoint stores how far the import of one file is, and which of its items were refused."""

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
"""The maximum number of stored refusals of a file. Further refusals are only counted."""

FILES_LIMIT = 10_000
"""The maximum number of stored checkpoints."""

_SUFFIX = ".json"
_REFUSALS_SUFFIX = ".faults"

_encode = msgspec.json.Encoder().encode


class Refusal(Struct, frozen=True):
    """An item that is not a valid receipt, or that ingest has rejected. The first item of a file has `index` 0.

    `where` is the location in words, such as `line 7`.
    """

    index: int
    where: str
    errors: Sequence[Fault]

    @classmethod
    def of(cls, index: int, errors: Sequence[Fault], where: str = "") -> Refusal:
        """Create a refusal. Without `where`, the location is the number of the record: `record 8` for index 7."""
        return cls(index, where or f"record {index + 1}", errors)


class Counts(Struct, kw_only=True):
    """Counts of the items that ingest has acknowledged. They are the first `done` items of a file."""

    version: str = tillstream.__version__
    done: int = 0
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    refusals_bytes: int = 0
    """The size in bytes of the counted refusals. After a crash, their file may also contain uncounted ones."""
    finished: bool = False
    """Whether all items of the file are acknowledged."""
    target: str = ""
    """The path to which the inbox moves the file, relative to the inbox."""


class Checkpoint:
    """The checkpoint of the file that `key` identifies. Only one process at a time can open a checkpoint.

    Raises `OperationalError` if another process has the checkpoint open, or if the checkpoint cannot be stored.
    """

    def __init__(self, directory: Path, key: str) -> None:
        name = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = directory / f"{name}{_SUFFIX}"
        self._refusals_path = directory / f"{name}{_REFUSALS_SUFFIX}"
        with _storing_in(directory):
            # Refusals may contain personal data, so only the owner may read them.
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
        """Set all counts to 0, and delete the refusals."""
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
        """Count all items before index `end` as acknowledged.

        The other arguments describe the items since the last call.
        """
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
        """Store the counts and refusals, without fsync.

        After a power failure, some items may therefore be sent again. They are still counted once.
        """
        new = self._path.with_name(f"{self._path.name}.new")
        with _storing_in(self._path.parent):
            self._refusals.flush()
            new.write_bytes(_encode(self.counts))
            new.replace(self._path)

    def refusals(self) -> Iterator[Refusal]:
        """Read the stored refusals, in the order of the file."""
        self._refusals.flush()
        with self._refusals_path.open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=Refusal)

    def remove(self) -> None:
        """Delete the checkpoint from disk."""
        self._path.unlink(missing_ok=True)
        self._refusals_path.unlink(missing_ok=True)

    def close(self) -> None:
        if not self.counts.refusals_bytes:
            self._refusals_path.unlink(missing_ok=True)
        self._refusals.close()

    def _truncate(self) -> None:
        """Make the stored refusals match the counts.

        A crash may have left refusals that are not counted yet: delete them. If counted refusals are missing, set all
        counts to 0, so that the import starts again.
        """
        counts = self.counts
        if self._refusals.seek(0, os.SEEK_END) < counts.refusals_bytes:
            self.counts = counts = Counts()
        self._refusals.truncate(counts.refusals_bytes)
        self._refusals.seek(counts.refusals_bytes)


def prune(directory: Path) -> None:
    """Delete the oldest checkpoints if there are more than `FILES_LIMIT`."""
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
        # Some network drives have no locks. Continue without a lock: even if two imports of the file run at the same
        # time, each receipt counts once.
        return


def _read(path: Path) -> Counts:
    """Return the stored counts, or zero counts if there are none.

    Ignores the counts of an unfinished import by another version, because that version may decode the file differently.
    """
    try:
        counts = msgspec.json.decode(path.read_bytes(), type=Counts)
    except (FileNotFoundError, msgspec.DecodeError):
        return Counts()
    return counts if counts.finished or counts.version == tillstream.__version__ else Counts()


@contextmanager
def _storing_in(directory: Path) -> Iterator[None]:
    """Convert an `OSError` in the block to an `OperationalError`."""
    try:
        yield
    except OSError as error:
        target, because = f"the progress of the import in {directory}", error.strerror or error
        raise OperationalError("store", target, because, "use --state DIRECTORY") from error
