"""The password of the dashboard: slowly hashed, stored in the data directory, and watched for changes."""

from __future__ import annotations

import unicodedata
from functools import partial
from hashlib import scrypt
from hmac import compare_digest
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.access.keys import Entropy
from tillstream.clock import Clock
from tillstream.config import versioned
from tillstream.config.data_directory import replace_secret
from tillstream.config.watched import Watched
from tillstream.errors import AccessError

VERSION = 1
MIN_CHARACTERS = 10
MAX_CHARACTERS = 1_000

# One guess costs 32 MiB and about 0.2 s. The parameters are from OWASP's Password Storage Cheat Sheet (2024).
COST, BLOCK, PARALLEL = 2**15, 8, 3
_MEMORY_BYTES = 64 * 1024 * 1024


class Password(Struct, frozen=True, forbid_unknown_fields=True):
    """The stored hash of the password. `salt` is new each time a password is set, even for the same text."""

    version: int
    salt: str
    digest: str
    cost: int
    block: int
    parallel: int

    def matches(self, text: str) -> bool:
        """Whether the text is the password. Slow on purpose; do not call it on an event loop."""
        return compare_digest(_digest(text, self.salt, self.cost, self.block, self.parallel), self.digest)


def create(text: str, entropy: Entropy) -> Password:
    """Hash a new password. Raises `AccessError` if it is too short or too long."""
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        because = f"it has {len(text)} characters"
        hint = f"use {MIN_CHARACTERS} to {MAX_CHARACTERS:,}; a few words make a good password"
        raise AccessError("set", "the password", because, hint)
    salt = entropy(16).hex()
    return Password(VERSION, salt, _digest(text, salt, COST, BLOCK, PARALLEL), COST, BLOCK, PARALLEL)


def _digest(text: str, salt: str, cost: int, block: int, parallel: int) -> str:
    # Keyboards and systems encode the same letters in different ways.
    typed = unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
    made = scrypt(typed, salt=bytes.fromhex(salt), n=cost, r=block, p=parallel, maxmem=_MEMORY_BYTES, dklen=32)
    return made.hex()


def read(file: Path) -> Password | None:
    """Read the stored password; None if none is set. Raises `AccessError`."""
    refuse = partial(AccessError, "read the password in")
    return versioned.read(file, Password, VERSION, refuse, "set the password again with `tillstream password set`")


def write(file: Path, password: Password) -> None:
    """Save the password. Raises `AccessError`."""
    try:
        replace_secret(file, msgspec.json.encode(password) + b"\n")
    except OSError as error:
        raise AccessError(
            "save the password in", file, error.strerror or error, "fix the cause and try again"
        ) from error


def clear(file: Path) -> bool:
    """Remove the password; return whether one was set. Raises `AccessError`."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise AccessError("remove the password in", file, error.strerror or error, "check its permissions") from error
    return True


class PasswordRepository(Watched[Password | None]):
    """A callable that returns the current password. If the file becomes unreadable, the last password stays valid."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Raises `AccessError` if the first read fails, since there is no earlier password to keep."""
        super().__init__(
            file, clock, read, read(file), "password", lambda password: {"passwords": int(password is not None)}
        )
