"""The dashboard's one password: hashed so that guessing is slow, kept in the data directory, seen anew while in use."""

from __future__ import annotations

import unicodedata
from hashlib import scrypt
from hmac import compare_digest
from pathlib import Path

import msgspec
from msgspec import Struct

from tillstream.access.keys import Entropy
from tillstream.clock import Clock
from tillstream.config.data_directory import replace_secret
from tillstream.config.versioned import Unusable, decode
from tillstream.config.watched import Watched
from tillstream.errors import AccessError

VERSION = 1
LEAST_CHARACTERS = 10
LIMIT_CHARACTERS = 1_000

# Cost of one guess: 32 MiB, and some 0.2 s; OWASP's Password Storage Cheat Sheet (2024) has these three as one choice.
COST, BLOCK, PARALLEL = 2**15, 8, 3
_MEMORY_BYTES = 64 * 1024 * 1024


class Password(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of the password; `salt` tells it from any other one, also from the same set again."""

    version: int
    salt: str
    digest: str
    cost: int
    block: int
    parallel: int

    def matches(self, text: str) -> bool:
        """Whether it is this one. Slow on purpose: not on an event loop."""
        return compare_digest(_digest(text, self.salt, self.cost, self.block, self.parallel), self.digest)


def make(text: str, entropy: Entropy) -> Password:
    """The password to be kept. Raises `AccessError` for one that is too short or too long."""
    if not LEAST_CHARACTERS <= len(text) <= LIMIT_CHARACTERS:
        because = f"it has {len(text)} characters"
        hint = f"take {LEAST_CHARACTERS} to {LIMIT_CHARACTERS:,}; a few words make a good one"
        raise AccessError("set", "the password", because, hint)
    salt = entropy(16).hex()
    return Password(VERSION, salt, _digest(text, salt, COST, BLOCK, PARALLEL), COST, BLOCK, PARALLEL)


def _digest(text: str, salt: str, cost: int, block: int, parallel: int) -> str:
    # The same letters may be typed in more than one way, by keyboard and system.
    typed = unicodedata.normalize("NFKC", text).encode("utf-8", "surrogatepass")
    made = scrypt(typed, salt=bytes.fromhex(salt), n=cost, r=block, p=parallel, maxmem=_MEMORY_BYTES, dklen=32)
    return made.hex()


def read(file: Path) -> Password | None:
    """The password that is kept; None where there is none. Raises `AccessError`."""
    try:
        return decode(file.read_bytes(), Password, VERSION, "set the password again with `tillstream password set`")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refuse(file, error.strerror or error, "check who may read it") from error
    except Unusable as error:
        raise _refuse(file, error.because, error.hint) from error


def _refuse(file: Path, because: object, hint: str) -> AccessError:
    return AccessError("read the password in", file, because, hint)


def write(file: Path, password: Password) -> None:
    """Keep the password. Raises `AccessError`."""
    try:
        replace_secret(file, msgspec.json.encode(password) + b"\n")
    except OSError as error:
        raise AccessError("keep the password in", file, error.strerror or error, "mend that, try again") from error


def clear(file: Path) -> bool:
    """Have no password any more; whether there was one. Raises `AccessError`."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise AccessError(
            "remove the password in", file, error.strerror or error, "check who may write there"
        ) from error
    return True


class PasswordRepository(Watched[Password | None]):
    """Called, it gives the password as it is now. What cannot be read leaves the last one in force."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Raises `AccessError`: where no password was read yet, none could stay in force."""
        super().__init__(
            file, clock, read, read(file), "password", lambda password: {"passwords": int(password is not None)}
        )
