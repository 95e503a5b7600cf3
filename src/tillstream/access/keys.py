"""API keys: creation, lookup, and the file that stores their digests."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.clock import Clock
from tillstream.config.data_directory import DataDirectory, locked
from tillstream.config.files import WatchedFile, read_versioned, replace_file
from tillstream.config.settings import Settings
from tillstream.errors import AccessError

KEY = re.compile(r"ts_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
"""The text of a key: a prefix that secret scanners can recognize, the id of the key, and 256 random bits."""

VERSION = 1
"""The version of the key file. Files of a newer version are rejected and stay unchanged."""

KEYS_LIMIT = 10_000
"""The maximum number of keys in a file, including revoked keys. To make room, the oldest revoked keys are removed."""

Entropy = Callable[[int], bytes]
"""A function that returns the requested number of random bytes, such as `secrets.token_bytes`."""

_ID_BYTES = 4
_SECRET_BYTES = 32

_unreadable = partial(AccessError, "read the keys in")


class Key(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A stored key. `digest` is the hexadecimal digest of its text.

    `made` and `revoked` are UTC times in ISO 8601 format. `revoked` is empty until the key is revoked.
    """

    id: str
    digest: str
    made: str
    name: str = ""
    stores: tuple[str, ...] = ()
    all_stores: bool = False
    reads: bool = False
    revoked: str = ""

    @property
    def posts(self) -> bool:
        """Whether the key may post receipts."""
        return self.all_stores or bool(self.stores)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys by id. Revoked keys are included, because access control stays on after the last key is revoked."""

    by_id: Mapping[str, Key] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Keys:
        return cls({key.id: key for key in keys})

    @property
    def guard_ingest(self) -> bool:
        """Whether a key that may post receipts was ever created. From then on, ingest requires a key."""
        return any(key.posts for key in self.by_id.values())

    def find(self, text: str) -> Key | None:
        """Return the key with this text, or None if it is unknown or revoked."""
        match = KEY.fullmatch(text)
        key = self.by_id.get(match[1]) if match else None
        if key is None or key.revoked or not compare_digest(digest(text), key.digest):
            return None
        return key


def create(entropy: Entropy, existing: Mapping[str, Key]) -> tuple[str, str]:
    """Return the text and the id of a new key. No key in `existing` has the same id."""
    while (key_id := entropy(_ID_BYTES).hex()) in existing:
        pass
    secret = urlsafe_b64encode(entropy(_SECRET_BYTES)).rstrip(b"=").decode()
    return f"ts_{key_id}_{secret}", key_id


def digest(text: str) -> str:
    """Return the BLAKE2b-256 digest of a key in hexadecimal.

    A fast hash is enough, because a key has 256 random bits. Only guessable passwords need a slow hash.
    """
    return blake2b(text.encode(), digest_size=32, person=b"tillstream key").hexdigest()


def bearer_or_basic(authorization: str) -> str:
    """Return the key in an `Authorization` header, or an empty string.

    Programs use the scheme Bearer (RFC 6750). Browsers use the scheme Basic (RFC 7617) with the key as the
    password; the user name is ignored.
    """
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


class _File(Struct):
    version: int
    keys: list[Key]


def key_file(directory: DataDirectory, settings: Settings) -> Path:
    """Return the path of the key file."""
    return Path(settings.keys_file) if settings.keys_file else directory.keys


def read_keys(file: Path) -> Keys:
    """Read the keys. A missing file counts as empty. Raises `AccessError` if the file is unusable."""
    content = read_versioned(file, _File, VERSION, _unreadable, "restore it, or remove it and make new keys")
    return Keys() if content is None else Keys.of(content.keys)


@contextmanager
def changing_keys(file: Path) -> Iterator[tuple[Keys, Callable[[Keys], None]]]:
    """A context manager that locks the key file. It yields the stored keys and a function that replaces them.

    Raises `AccessError` if the keys cannot be read or saved, and `DataDirectoryError` if another process holds the
    lock.
    """
    try:
        with locked(file.parent, "keys"):
            yield read_keys(file), lambda keys: _write(file, keys)
    except OSError as error:
        raise AccessError("save keys in", file, error.strerror or error, "check its permissions") from error


def _write(file: Path, keys: Keys) -> None:
    saved = list(keys.by_id.values())
    for key in [key for key in saved if key.revoked][: max(0, len(saved) - KEYS_LIMIT)]:
        saved.remove(key)
    if len(saved) > KEYS_LIMIT:
        raise AccessError("save keys in", file, f"there are already {KEYS_LIMIT:,} keys", "revoke keys first")
    replace_file(file, msgspec.json.format(msgspec.json.encode(_File(VERSION, saved)), indent=1) + b"\n", secret=True)


class KeyRepository(WatchedFile[Keys]):
    """A callable that returns the current keys. If the file becomes unreadable, the last readable keys stay valid."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Read the keys. Raises `AccessError` if this fails, because there are no earlier keys to use instead."""
        super().__init__(file, clock, self._reread, read_keys(file), "keys", lambda keys: {"keys": len(keys.by_id)})

    def _reread(self, file: Path) -> Keys:
        keys = read_keys(file)
        if self._content.by_id and not keys.by_id:
            # No command removes all keys, so the file was lost or damaged. This must not disable access control.
            raise _unreadable(file, "the keys are gone", "restore it; to run without keys, restart without the file")
        return keys
