"""Authorization of requests to ingest: which API key may post receipts of which store."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillstream.access.keys import KeyRepository, Keys, bearer_or_basic
from tillstream.access.machine_token import is_token
from tillstream.http.messages import Headers
from tillstream.ingest import responses
from tillstream.ingest.responses import Refused

Stores = frozenset[bytes] | None
"""The stores for which a request may post receipts. None means all stores."""

RELOAD_INTERVAL_S = 0.5
"""The interval between checks of the key file. It is short, so a revoked key is rejected within a second."""

GRANTS_LIMIT = 10_000
"""The maximum number of cached grants (see `Grant`). A full cache is emptied."""


class Grant(NamedTuple):
    """The permissions of a key: the stores for which it may post receipts, and whether it may read metrics."""

    stores: Stores
    read: bool


class Authorizer:
    """Checks the API keys of requests. Only the event loop may use it.

    Requests need a key if `required` is true, or if a key for posting receipts was ever created (it may be revoked by
    now). `token` is the machine token, which has all permissions.

    The grants of known keys are cached in a dict, by the value of the header that contains the key. An attacker cannot
    guess keys from the time that a lookup takes: a dict compares two values only if their hashes are equal, and the
    hashes depend on a random seed of the process.
    """

    def __init__(self, keys: KeyRepository | None = None, token: str = "", *, required: bool = False) -> None:
        self._repository = keys
        self._token = token
        self._required = required
        self._grants: dict[bytes, Grant] = {}
        self._use(keys() if keys is not None else Keys())

    def allowed_stores(self, headers: Headers) -> Stores:
        """Return the stores for which a request with these headers may post receipts.

        Raises `Refused`: 401 without a valid key, 403 if the key is only for reading.
        """
        if not self.enabled:
            return None
        credentials = headers.get(b"x-api-key") or headers.get(b"authorization", b"")
        stores = (self._grants.get(credentials) or self._authenticate(headers)).stores
        if stores is not None and not stores:
            raise Refused(responses.key_cannot_post())
        return stores

    def check_read(self, headers: Headers) -> None:
        """Check that the request may read metrics.

        Raises `Refused`: 401 without a valid key, 403 if the key is not for reading.
        """
        if self.enabled and not self._authenticate(headers).read:
            raise Refused(responses.key_cannot_read())

    async def run(self) -> None:
        """Reload changed keys until cancelled. The key file may be on a slow network drive, so a thread reads it."""
        while self._repository is not None:
            await asyncio.sleep(RELOAD_INTERVAL_S)
            keys = await asyncio.to_thread(self._repository.check)
            if keys is not self._keys:
                self._use(keys)
        await asyncio.Event().wait()

    def _use(self, keys: Keys) -> None:
        self._keys = keys
        self.enabled = self._required or keys.guard_ingest
        """Whether requests need a key."""
        self._grants.clear()

    def _authenticate(self, headers: Headers) -> Grant:
        api_key = headers.get(b"x-api-key")
        credentials = api_key or headers.get(b"authorization", b"")
        text = credentials.decode("latin-1")
        text = text.strip() if api_key else bearer_or_basic(text)
        if is_token(text, self._token):
            grant = Grant(None, read=True)
        elif key := self._keys.find(text):
            stores = None if key.all_stores else frozenset(store.encode() for store in key.stores)
            grant = Grant(stores, key.reads)
        else:
            browser = b"text/html" in headers.get(b"accept", b"")
            raise Refused(responses.unauthorized(provided=bool(credentials), browser=browser))
        if len(self._grants) >= GRANTS_LIMIT:
            self._grants.clear()
        self._grants[credentials] = grant
        return grant
