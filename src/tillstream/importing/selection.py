"""Which files are meant: those that were named, and those in the folders that were named."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tillstream.importing.source_file import STDIN, CannotRead

REPORT_SUFFIX = ".report.json"

_UNFINISHED = (".part", ".tmp", ".crdownload")


def left_alone(name: str) -> bool:
    """Whether a file in a folder is hidden, still being written by whoever named it so, or a report of ours."""
    return name.startswith(".") or name.lower().endswith((*_UNFINISHED, REPORT_SUFFIX))


def chosen(named: Sequence[Path]) -> Iterator[Path]:
    """The files in the order in which they were named, those of a folder and of its subfolders by name.

    Raises `CannotRead` for what is not there, before anything else is done.
    """
    for path in named:
        if path != STDIN:
            try:
                path.stat()
            except OSError as error:
                raise CannotRead("read", path, error.strerror or error, "check the path") from error
    return (found for path in named for found in (_within(path) if path != STDIN and path.is_dir() else [path]))


def size_bytes(paths: Sequence[Path]) -> int | None:
    """Of all files together; None where one of them has no end that is known."""
    total = 0
    for path in paths:
        try:
            if path == STDIN or not path.is_file():
                return None
            total += path.stat().st_size
        except OSError:
            continue
    return total


def _within(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise CannotRead("read", error.filename, error.strerror or error, "mend that, and import it again") from error

    for where, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not left_alone(name):
                yield Path(where) / name
