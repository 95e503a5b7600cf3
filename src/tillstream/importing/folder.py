"""The inbox as a folder: which of its files are complete, and where they go when they were taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tillstream.config.settings import Settings
from tillstream.errors import SettingsError
from tillstream.importing.selection import REPORT_SUFFIX, left_alone
from tillstream.importing.source_file import readable

SETTLED_US = 2_000_000
"""A file whose size and time have not changed for so long is complete."""

DONE, FAILED, STATE = "done", "failed", ".tillstream"


class Seen(NamedTuple):
    """What changes when a file is written, or another takes its name."""

    inode: int
    size: int
    mtime_ns: int

    def is_still(self, found: Seen | None) -> bool:
        """Whether it is what was found under another name, for which some network drives have another inode."""
        return found is None or (found.size, found.mtime_ns) == (self.size, self.mtime_ns)


class Folder:
    """One look after the other at an inbox. Nothing of it is kept but in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[str, tuple[Seen, int]] = {}

    @property
    def state(self) -> Path:
        """Where it is kept how far files were taken."""
        return self.path / STATE

    def prepare(self) -> None:
        """Make what is missing. Raises `OSError`."""
        for path in (self.path, self.path / DONE, self.path / FAILED):
            path.mkdir(exist_ok=True)

    def complete(self, now_us: int) -> list[Path]:
        """The files that have not changed for `SETTLED_US` of looks, the oldest first. Raises `OSError`."""
        before, self._seen = self._seen, {}
        ready: list[tuple[int, str]] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if left_alone(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                seen = look(Path(entry.path))
                if seen is None:
                    continue
                known, since_us = before.get(entry.name, (seen, now_us))
                if known != seen or since_us > now_us:
                    since_us = now_us
                self._seen[entry.name] = seen, since_us
                if now_us - since_us >= SETTLED_US:
                    ready.append((seen.mtime_ns, entry.name))
        return [self.path / name for _, name in sorted(ready)]

    def unsettle(self, path: Path) -> None:
        """Wait anew until the file is complete."""
        self._seen.pop(path.name, None)

    def free_name(self, name: str, *, failed: bool) -> str:
        """Where in the folder a file of that name may go, with a number where it is taken: `done/monday (2).json`."""
        where = FAILED if failed else DONE
        return f"{where}/{self._free(where, readable(name))}"

    def take_back(self, target: str, name: str) -> None:
        """Put what was filed away under that target into the inbox again, where nothing of it was read."""
        where, _, filed = target.partition("/")
        (self.path / target).rename(self.path / self._free(".", name))
        self.report(where, filed).unlink()

    def _free(self, where: str, name: str) -> str:
        stem, suffix = _parts(name)
        number, candidate = 1, name
        while any(os.path.lexists(path) for path in (self.path / where / candidate, self.report(where, candidate))):
            number += 1
            candidate = f"{stem} ({number}){suffix}"
        return candidate

    def taken(self, target: str) -> bool:
        """Whether a file stands there already."""
        return os.path.lexists(self.path / target)

    def report(self, where: str, name: str) -> Path:
        """Beside the file of that name."""
        return self.path / where / f"{name}{REPORT_SUFFIX}"


def inbox_of(settings: Settings) -> Folder:
    """The setting's folder, which may be missing for now. Raises `SettingsError` for what can be no inbox."""
    path = Path(settings.inbox)
    because = ""
    if path.exists() and not path.is_dir():
        because = "it is a file"
    elif path.resolve() == settings.data_path.resolve():
        because = "it is the data directory"
    if because:
        raise SettingsError("use the setting", f"inbox ({path})", because, "name a folder of its own")
    return Folder(path)


def look(path: Path) -> Seen | None:
    """The file as it is now; None where it is gone."""
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Seen(status.st_ino, status.st_size, status.st_mtime_ns)


def _parts(name: str) -> tuple[str, str]:
    """`monday` and `.json.gz`."""
    path = Path(name)
    suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() in (".gz", ".zst") else path.suffix
    return name.removesuffix(suffixes), suffixes
