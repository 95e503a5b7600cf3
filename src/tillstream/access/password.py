"""The password of the dashboard: its hash, and the file that stores it."""

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
from tillstream.config.files import WatchedFile, read_versioned, replace_file
from tillstream.errors import AccessError

VERSION = 1
MIN_CHARACTERS = 10
MAX_CHARACTERS = 1_000

# One check takes 32 MiB and about 0.2 s. The parameters are from OWASP's Password Storage Cheat Sheet (2024).
COST, BLOCK, PARALLEL = 2**15, 8, 3
_MEMORY_BYTES = 64 * 1024 * 1024


class Password(Struct, frozen=True, forbid_unknown_fields=True):
    """The stored hash of a password. `salt` and `digest` are hexadecimal. Each new password gets a new random salt."""

    version: int
    salt: str
    digest: str
    cost: int
    block: int
    parallel: int

    def matches(self, text: str) -> bool:
        """Return whether the text is the password. This is slow by design, so do not call it on an event loop."""
        return compare_digest(_digest(text, self.salt, self.cost, self.block, self.parallel), self.digest)


def create(text: str, entropy: Entropy) -> Password:
    """Hash a new password with a random salt. Raises `AccessError` if the password is too short or too long."""
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        because = f"it has {len(text)} characters"
        hint = f"use {MIN_CHARACTERS} to {MAX_CHARACTERS:,}; a few words make a good password"
        raise AccessError("set", "the password", because, hint)
    salt = entropy(16).hex()
    return Password(VERSION, salt, _digest(text, salt, COST, BLOCK, PARALLEL), COST, BLOCK, PARALLEL)


def _digest(text: str, salt: str, cost: int, block: int, parallel: int) -> str:
    # Some letters, such as é, have several encodings. NFKC turns all of them into one.
    normalized = unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
    hashed = scrypt(normalized, salt=bytes.fromhex(salt), n=cost, r=block, p=parallel, maxmem=_MEMORY_BYTES, dklen=32)
    return hashed.hex()


def read(file: Path) -> Password | None:
    """Read the stored password. Return None if no password is set. Raises `AccessError` if the file is unusable."""
    unreadable = partial(AccessError, "read the password in")
    return read_versioned(file, Password, VERSION, unreadable, "set the password again with `tillstream password set`")


def write(file: Path, password: Password) -> None:
    """Save the password. Raises `AccessError` if the file cannot be written."""
    try:
        replace_file(file, msgspec.json.encode(password) + b"\n", secret=True)
    except OSError as error:
        hint = "fix the cause and try again"
        raise AccessError("save the password in", file, error.strerror or error, hint) from error


def clear(file: Path) -> bool:
    """Remove the password and return whether one was set. Raises `AccessError` if the file cannot be removed."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise AccessError("remove the password in", file, error.strerror or error, "check its permissions") from error
    return True


class PasswordRepository(WatchedFile[Password | None]):
    """A callable that returns the current password. If the file becomes unreadable, the old password stays valid."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Read the file. Raises `AccessError` if it cannot be read."""
        super().__init__(file, clock, read, read(file), "password", lambda content: {"passwords": int(bool(content))})
