"""Authorization of requests to ingest by API keys."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillstream.access.keys import KeyRepository, Keys, bearer_or_basic
from tillstream.access.machine_token import is_token
from tillstream.http.messages import Headers
from tillstream.ingest import responses
from tillstream.ingest.responses import Refused

Stores = frozenset[bytes] | None
"""The stores that a request may post receipts for; None for all stores."""

RELOAD_INTERVAL_S = 0.5
"""Interval between checks of the key file. A revoked key is refused within a second."""

GRANTS_LIMIT = 10_000
"""Most headers whose grants are cached."""


class Grant(NamedTuple):
    """The permissions of a key."""

    stores: Stores
    read: bool


_ALL = Grant(None, read=True)


class Authorizer:
    """Checks keys if there are any or `required` is set; used on the event loop.

    A header that was checked before costs one dictionary lookup. Its time reveals nothing about a key: texts are only
    compared if their hashes are equal, and each process has a random hash seed.
    """

    def __init__(self, keys: KeyRepository | None = None, token: str = "", *, required: bool = False) -> None:
        """Without `keys`, everybody may post. `token` has all permissions."""
        self._repository = keys
        self._token = token
        self._required = required
        self._keys = Keys()
        self._enabled = False
        self._grants: dict[bytes, Grant] = {}
        if keys is not None:
            self._use(keys())

    @property
    def enabled(self) -> bool:
        """Whether requests need a key now."""
        return self._enabled

    def allowed_stores(self, headers: Headers) -> Stores:
        """The stores that a request with these headers may post for. Raises `Refused` (401, or 403 for none)."""
        if not self._enabled:
            return None
        credentials = headers.get(b"x-api-key") or headers.get(b"authorization", b"")
        stores = (self._grants.get(credentials) or self._authenticate(headers)).stores
        if stores is not None and not stores:
            raise Refused(responses.key_cannot_post())
        return stores

    def check_read(self, headers: Headers) -> None:
        """Raises `Refused` (401, 403) if a request with these headers may not read the metrics of ingest."""
        if self._enabled and not self._authenticate(headers).read:
            raise Refused(responses.key_cannot_read())

    async def run(self) -> None:
        """Reload changed keys until cancelled. The file may be on a network drive, so a thread reads it."""
        while self._repository is not None:
            await asyncio.sleep(RELOAD_INTERVAL_S)
            keys = await asyncio.to_thread(self._repository.check)
            if keys is not self._keys:
                self._use(keys)
        await asyncio.Event().wait()

    def _use(self, keys: Keys) -> None:
        self._keys = keys
        self._enabled = self._required or keys.guard_ingest
        self._grants.clear()

    def _authenticate(self, headers: Headers) -> Grant:
        api_key = headers.get(b"x-api-key")
        credentials = api_key or headers.get(b"authorization", b"")
        text = credentials.decode("latin-1")
        grant = self._grant(text.strip() if api_key else bearer_or_basic(text))
        if grant is None:
            browser = b"text/html" in headers.get(b"accept", b"")
            raise Refused(responses.unauthorized(provided=bool(credentials), browser=browser))
        if len(self._grants) >= GRANTS_LIMIT:
            self._grants.clear()
        self._grants[credentials] = grant
        return grant

    def _grant(self, text: str) -> Grant | None:
        if is_token(text, self._token):
            return _ALL
        key = self._keys.find(text)
        if key is None:
            return None
        return Grant(None if key.all_stores else frozenset(store.encode() for store in key.stores), key.reads)
