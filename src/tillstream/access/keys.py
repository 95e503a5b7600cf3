"""API keys: how one is made, what it may do, and whether a text is one that is known."""

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
"""A key as it is written: a mark by which scanners of published files know it, its id, and 256 random bits."""

Entropy = Callable[[int], bytes]
"""So many random bytes; `secrets.token_bytes` but for tests."""


class Key(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept of a key. `made` and `revoked` are times in UTC, ISO 8601; `digest` is hexadecimal."""

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
        """Whether it is for receipts at all."""
        return self.all_stores or bool(self.stores)


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys by their ids, those that were revoked too: access stays on when the last one is gone."""

    by_id: Mapping[str, Key] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Keys:
        return cls({key.id: key for key in keys})

    @property
    def guard_ingest(self) -> bool:
        """Whether a key for receipts was ever made."""
        return any(key.posts for key in self.by_id.values())

    def find(self, text: str) -> Key | None:
        """The key that the text is; None for one that is unknown or revoked."""
        written = KEY.fullmatch(text)
        if written is None:
            return None
        key = self.by_id.get(written[1])
        same = compare_digest(digest(text), key.digest if key is not None else _NO_DIGEST)
        return key if key is not None and same and not key.revoked else None


def make(entropy: Entropy, taken: Mapping[str, Key]) -> tuple[str, str]:
    """The text of a new key, and its id, which none of those taken has."""
    while (number := entropy(ID_BYTES).hex()) in taken:
        pass
    secret = urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode()
    return f"ts_{number}_{secret}", number


def digest(text: str) -> str:
    """BLAKE2b-256 of a key.

    One fast hash is enough, and a request cannot wait for a slow one: slow hashes make up for
    passwords that can be guessed, and nobody guesses 256 random bits.
    """
    return blake2b(text.encode(), digest_size=32, person=b"tillstream key").hexdigest()


_NO_DIGEST = "0" * 64


def carried(authorization: str) -> str:
    """The key that an `Authorization` header carries; empty where it carries none.

    Programs send it by the scheme Bearer (RFC 6750). Browsers ask people for a name and a password and send both by
    the scheme Basic (RFC 7617): the key is the password, and the name may be any.
    """
    scheme, _, given = authorization.strip().partition(" ")
    given = given.strip()
    if scheme.lower() == "bearer":
        return given
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(given, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
