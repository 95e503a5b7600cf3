"""Write keys and a password to a data directory without the command line."""

from __future__ import annotations

import secrets
from functools import cache

from tests.support.access import PASSWORD
from tillstream.access import password
from tillstream.access.keys import Key, Keys, changing_keys, create, digest
from tillstream.access.password import Password
from tillstream.config.data_directory import DataDirectory


@cache
def hashed(text: str) -> Password:
    """The hash of a password. It is cached, because password hashes are slow by design."""
    return password.create(text, secrets.token_bytes)


def set_password(directory: DataDirectory, text: str = PASSWORD) -> None:
    password.write(directory.password, hashed(text))


def add_key(directory: DataDirectory, *stores: str, reads: bool = False) -> str:
    """Add a key, and return its text."""
    with changing_keys(directory.keys) as (known, keep):
        text, number = create(secrets.token_bytes, known.by_id)
        keep(Keys({**known.by_id, number: Key(number, digest(text), "", "", stores, reads=reads)}))
    return text
