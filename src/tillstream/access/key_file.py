"""The file of the API keys: kept durably, shared by those that it is named to, and seen anew while it is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.access.keys import Key, Keys
from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory, locked, replace_secret
from tillstream.config.settings import Settings
from tillstream.config.versioned import Unusable, decode
from tillstream.config.watched import Watched
from tillstream.errors import AccessError

VERSION = 1
"""Of the file; a newer one is left as it is."""

KEYS_LIMIT = 10_000
"""Most keys in a file. Of more the revoked ones go, the oldest first."""


class _Kept(Struct):
    version: int
    keys: list[Key]


def place(directory: DataDirectory, settings: Settings) -> Path:
    """Where the keys are kept."""
    return Path(settings.keys_file) if settings.keys_file else directory.keys


def read(file: Path) -> Keys:
    """The keys in the file; none where there is no file. Raises `AccessError`."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return Keys()
    except OSError as error:
        raise _refuse(file, error.strerror or error, "check who may read it") from error
    try:
        return Keys.of(decode(text, _Kept, VERSION, "restore it, or remove it and make new keys").keys)
    except Unusable as error:
        raise _refuse(file, error.because, error.hint) from error


def _refuse(file: Path, because: object, hint: str) -> AccessError:
    return AccessError("read the keys in", file, because, hint)


@contextmanager
def changing(file: Path) -> Iterator[tuple[Keys, Callable[[Keys], None]]]:
    """The keys as they are, and what keeps others in their place; one at a time changes them.

    Raises `AccessError` and `DataDirectoryError`.
    """
    try:
        with locked(file.parent, "keys") as _:
            yield read(file), lambda keys: _write(file, keys)
    except OSError as error:
        raise AccessError("keep keys in", file, error.strerror or error, "check who may write there") from error


def _write(file: Path, keys: Keys) -> None:
    kept = list(keys.by_id.values())
    for key in [key for key in kept if key.revoked][: max(0, len(kept) - KEYS_LIMIT)]:
        kept.remove(key)
    if len(kept) > KEYS_LIMIT:
        raise AccessError("keep keys in", file, f"there are {KEYS_LIMIT:,} already", "revoke some first")
    replace_secret(file, msgspec.json.format(msgspec.json.encode(_Kept(VERSION, kept)), indent=1) + b"\n")


class KeyRepository(Watched[Keys]):
    """Called, it gives the keys as they are now. What cannot be read leaves the last ones in force."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Raises `AccessError`: where no keys were read yet, none could stay in force."""
        super().__init__(file, clock, self._read_again, read(file), "keys", lambda keys: {"keys": len(keys.by_id)})

    def _read_again(self, file: Path) -> Keys:
        keys = read(file)
        if self._content.by_id and not keys.by_id:
            # A file that is gone must not open a door; nobody empties it by the command line.
            raise _refuse(file, "they are gone", "restore it; to have no keys any more, restart without it")
        return keys
