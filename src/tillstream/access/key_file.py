"""The file of the API keys: durable, shared by several ingests, and watched for changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.access.keys import Key, Keys
from tillstream.clock import Clock
from tillstream.config import versioned
from tillstream.config.data_directory import DataDirectory, locked, replace_secret
from tillstream.config.settings import Settings
from tillstream.config.watched import Watched
from tillstream.errors import AccessError

VERSION = 1
"""Version of the file; a newer file is refused and left unchanged."""

KEYS_LIMIT = 10_000
"""Maximum keys in a file. Above it the oldest revoked keys are removed."""


_refuse = partial(AccessError, "read the keys in")


class _File(Struct):
    version: int
    keys: list[Key]


def path(directory: DataDirectory, settings: Settings) -> Path:
    """The path of the key file."""
    return Path(settings.keys_file) if settings.keys_file else directory.keys


def read(file: Path) -> Keys:
    """Read the keys; a missing file holds none. Raises `AccessError`."""
    content = versioned.read(file, _File, VERSION, _refuse, "restore it, or remove it and make new keys")
    return Keys() if content is None else Keys.of(content.keys)


@contextmanager
def changing(file: Path) -> Iterator[tuple[Keys, Callable[[Keys], None]]]:
    """Lock the file; yield its keys and a function that saves new ones.

    Raises `AccessError` and `DataDirectoryError`.
    """
    try:
        with locked(file.parent, "keys") as _:
            yield read(file), lambda keys: _write(file, keys)
    except OSError as error:
        raise AccessError("save keys in", file, error.strerror or error, "check its permissions") from error


def _write(file: Path, keys: Keys) -> None:
    saved = list(keys.by_id.values())
    for key in [key for key in saved if key.revoked][: max(0, len(saved) - KEYS_LIMIT)]:
        saved.remove(key)
    if len(saved) > KEYS_LIMIT:
        raise AccessError("save keys in", file, f"there are already {KEYS_LIMIT:,} keys", "revoke some first")
    replace_secret(file, msgspec.json.format(msgspec.json.encode(_File(VERSION, saved)), indent=1) + b"\n")


class KeyRepository(Watched[Keys]):
    """A callable that returns the current keys. If the file becomes unreadable, the last keys stay valid."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Raises `AccessError` if the first read fails, since there are no earlier keys to keep."""
        super().__init__(file, clock, self._read_again, read(file), "keys", lambda keys: {"keys": len(keys.by_id)})

    def _read_again(self, file: Path) -> Keys:
        keys = read(file)
        if self._content.by_id and not keys.by_id:
            # A lost file must not open the ports. The command line never empties the file.
            raise _refuse(file, "the keys are gone", "restore it; to run without keys, restart without the file")
        return keys
