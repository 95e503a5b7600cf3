"""API keys: creation, permissions and lookup."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest

from msgspec import Struct

SECRET_BYTES = 32
ID_BYTES = 4

KEY = re.compile(r"ts_([0-9a-f]{8})_[A-Za-z0-9_-]{43}")
"""The text of a key: a prefix that secret scanners recognise, the key's id, and 256 random bits."""

Entropy = Callable[[int], bytes]
"""Returns the given number of random bytes; `secrets.token_bytes` except in tests."""


class Key(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A stored key. `made` and `revoked` are times in UTC, ISO 8601; `digest` is hexadecimal."""

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
    """All keys by id. Revoked keys stay, so that access control stays on after the last key is revoked."""

    by_id: Mapping[str, Key] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Keys:
        return cls({key.id: key for key in keys})

    @property
    def guard_ingest(self) -> bool:
        """Whether a key that may post receipts was ever created."""
        return any(key.posts for key in self.by_id.values())

    def find(self, text: str) -> Key | None:
        """The valid key with this text; None if it is unknown or revoked."""
        written = KEY.fullmatch(text)
        if written is None:
            return None
        key = self.by_id.get(written[1])
        same = compare_digest(digest(text), key.digest if key is not None else _NO_DIGEST)
        return key if key is not None and same and not key.revoked else None


def create(entropy: Entropy, existing: Mapping[str, Key]) -> tuple[str, str]:
    """The text and the unique id of a new key."""
    while (number := entropy(ID_BYTES).hex()) in existing:
        pass
    secret = urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode()
    return f"ts_{number}_{secret}", number


def digest(text: str) -> str:
    """BLAKE2b-256 of a key.

    A fast hash is enough: slow hashes protect guessable passwords, and a key has 256 random bits.
    """
    return blake2b(text.encode(), digest_size=32, person=b"tillstream key").hexdigest()


_NO_DIGEST = "0" * 64


def bearer_or_basic(authorization: str) -> str:
    """The key in an `Authorization` header; empty if there is none.

    Programs use the scheme Bearer (RFC 6750). Browsers ask for a name and a password and use the scheme Basic
    (RFC 7617); the password is then the key, and the name is ignored.
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
