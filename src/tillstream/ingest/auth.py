"""Who may post, and for which stores: the keys, asked once for all requests that bring the same header."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from tillstream.access.key_file import KeyRepository
from tillstream.access.keys import Keys, carried
from tillstream.access.machine_token import is_token
from tillstream.http.messages import Headers
from tillstream.ingest import responses
from tillstream.ingest.responses import Refused

Stores = frozenset[bytes] | None
"""The stores that a request may post for; None: all."""

LOOK_AGAIN_S = 0.5
"""How often the keys are looked at: a key that is revoked is refused within a second."""

KNOWN_LIMIT = 10_000
"""Most headers whose keys are remembered."""


class Grant(NamedTuple):
    """What a key allows."""

    stores: Stores
    reads: bool


_ALL = Grant(None, reads=True)


class Gate:
    """Asks for keys, where there are any or `required` is set; used on the event loop.

    A header that brought a key before costs one look into a dictionary, which compares texts only where
    their hashes, seeded at random in each process, are equal: how long that takes tells nobody of a key.
    """

    def __init__(self, keys: KeyRepository | None = None, token: str = "", *, required: bool = False) -> None:
        """Without `keys` it is open. `token` opens it like a key for everything."""
        self._kept = keys
        self._token = token
        self._required = required
        self._keys = Keys()
        self._asks = False
        self._known: dict[bytes, Grant] = {}
        if keys is not None:
            self._use(keys())

    @property
    def asks(self) -> bool:
        """Whether a key is needed now."""
        return self._asks

    def stores(self, headers: Headers) -> Stores:
        """For which stores a request with these headers may post. Raises `Refused` (401, and 403 where for none)."""
        if not self._asks:
            return None
        given = headers.get(b"x-api-key") or headers.get(b"authorization", b"")
        stores = (self._known.get(given) or self._grant(headers)).stores
        if stores is not None and not stores:
            raise Refused(responses.no_posting())
        return stores

    def check_reading(self, headers: Headers) -> None:
        """Raises `Refused` (401, 403) for who may not read the figures of this process."""
        if self._asks and not self._grant(headers).reads:
            raise Refused(responses.no_reading())

    async def watch(self) -> None:
        """Until cancelled, see what becomes of the keys. The file may lie on another machine, so not on the loop."""
        while self._kept is not None:
            await asyncio.sleep(LOOK_AGAIN_S)
            keys = await asyncio.to_thread(self._kept.look)
            if keys is not self._keys:
                self._use(keys)
        await asyncio.Event().wait()

    def _use(self, keys: Keys) -> None:
        self._keys = keys
        self._asks = self._required or keys.guard_ingest
        self._known.clear()

    def _grant(self, headers: Headers) -> Grant:
        bare = headers.get(b"x-api-key")
        given = bare or headers.get(b"authorization", b"")
        text = given.decode("latin-1")
        text = text.strip() if bare else carried(text)
        grant = self._grant_of(text)
        if grant is None:
            browser = b"text/html" in headers.get(b"accept", b"")
            raise Refused(responses.no_key(given=bool(given), browser=browser))
        if len(self._known) >= KNOWN_LIMIT:
            self._known.clear()
        self._known[given] = grant
        return grant

    def _grant_of(self, text: str) -> Grant | None:
        if is_token(text, self._token):
            return _ALL
        key = self._keys.find(text)
        if key is None:
            return None
        return Grant(None if key.all_stores else frozenset(store.encode() for store in key.stores), key.reads)
