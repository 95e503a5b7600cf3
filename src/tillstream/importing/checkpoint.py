"""What became of a file so far: counts, refusals, and how far ingest has acknowledged it; kept on disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

import tillstream
from tillstream.errors import OperationalError

REFUSALS_KEPT = 100_000
"""Of one file; what is beyond is counted, and stands in quarantine like the others."""

FILES_REMEMBERED = 10_000

_SUFFIX = ".json"
_FAULTS_SUFFIX = ".faults"

_encode = msgspec.json.Encoder().encode


class Refusal(Struct, frozen=True):
    """An item that is no receipt: its index in the file from 0, where that is for people, and every fault."""

    index: int
    where: str
    errors: list[dict[str, str]]


class Counts(Struct, kw_only=True):
    """`done` items of the file are acknowledged: receipts that ingest took, refused ones, and skipped ones by kind."""

    version: str = tillstream.__version__
    done: int = 0
    receipts: int = 0
    refused: int = 0
    skipped: dict[str, int] = {}
    refusals_bytes: int = 0
    refusals_kept: int = 0
    finished: bool = False
    target: str = ""
    """Under which name the inbox files it, once it is finished."""


class Checkpoint:
    """Of one file, by a key; only one process has it open. Raises `OperationalError` where it cannot be kept."""

    def __init__(self, directory: Path, key: str) -> None:
        name = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._path = directory / f"{name}{_SUFFIX}"
        self._faults = directory / f"{name}{_FAULTS_SUFFIX}"
        try:
            # What is refused may name customers, so nobody else reads it.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._spool: BinaryIO = open(self._faults, "r+b", opener=_open_or_create)  # noqa: SIM115
        except OSError as error:
            raise _cannot_keep(directory, error) from error
        try:
            _lock(self._spool)
            self.counts = _read(self._path)
            self._cut()
        except BaseException:
            self._spool.close()
            raise
        self.resumed = self.counts.done

    def forget(self) -> None:
        """Begin anew."""
        self.counts = Counts()
        self.resumed = 0
        self._cut()

    def add(
        self, end: int, receipts: int, refused: int, skipped: Mapping[str, int], refusals: Iterable[Refusal]
    ) -> None:
        """The items up to `end`, this one excluded, are acknowledged."""
        counts = self.counts
        counts.done = end
        counts.receipts += receipts
        counts.refused += refused
        for kind, number in skipped.items():
            counts.skipped[kind] = counts.skipped.get(kind, 0) + number
        try:
            for refusal in refusals:
                if counts.refusals_kept < REFUSALS_KEPT:
                    counts.refusals_bytes += self._spool.write(_encode(refusal) + b"\n")
                    counts.refusals_kept += 1
        except OSError as error:
            raise _cannot_keep(self._path.parent, error) from error

    def save(self) -> None:
        """Remember it. After a crash of the machine less may be remembered: that is sent again, and counts once."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        try:
            self._spool.flush()
            fresh.write_bytes(_encode(self.counts))
            fresh.replace(self._path)
        except OSError as error:
            raise _cannot_keep(self._path.parent, error) from error

    def refusals(self) -> Iterator[Refusal]:
        """Those that are kept, in the file's order."""
        self._spool.flush()
        with self._faults.open("rb") as file:
            for line in file:
                yield msgspec.json.decode(line, type=Refusal)

    def remove(self) -> None:
        """Nothing is remembered of the file any more."""
        self._path.unlink(missing_ok=True)
        self._faults.unlink(missing_ok=True)

    def close(self) -> None:
        if not self.counts.refusals_bytes:
            self._faults.unlink(missing_ok=True)
        self._spool.close()

    def _cut(self) -> None:
        """Take off what was written behind the last time that the counts were saved."""
        counts = self.counts
        if self._spool.seek(0, os.SEEK_END) < counts.refusals_bytes:
            self.counts = counts = Counts()
        self._spool.truncate(counts.refusals_bytes)
        self._spool.seek(counts.refusals_bytes)


def prune(directory: Path) -> None:
    """Forget the files that were imported longest ago, beyond `FILES_REMEMBERED`."""
    with suppress(OSError):
        kept = sorted(directory.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in kept[: max(0, len(kept) - FILES_REMEMBERED)]:
            path.unlink()
            path.with_suffix(_FAULTS_SUFFIX).unlink(missing_ok=True)


def first(refusals: Iterable[Refusal], number: int) -> Sequence[Refusal]:
    return [refusal for refusal, _ in zip(refusals, range(number), strict=False)]


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o600)


def _lock(spool: BinaryIO) -> None:
    try:
        fcntl.flock(spool, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "wait until it is done"
        raise OperationalError("import", "the file", "another import of it is running", hint) from None
    except OSError:
        # Some network drives know no locks. Two imports of one file would count it once all the same.
        return


def _read(path: Path) -> Counts:
    """What is remembered; nothing where that is of another version, which may decode otherwise."""
    try:
        counts = msgspec.json.decode(path.read_bytes(), type=Counts)
    except (FileNotFoundError, msgspec.DecodeError):
        return Counts()
    except OSError as error:
        raise _cannot_keep(path.parent, error) from error
    return counts if counts.finished or counts.version == tillstream.__version__ else Counts()


def _cannot_keep(directory: Path, error: OSError) -> OperationalError:
    because = error.strerror or error
    return OperationalError("remember in", f"{directory} how far the import is", because, "name another with --state")
