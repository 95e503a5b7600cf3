"""Decides whether a request is authenticated: by a session, by a key for reading, or by this machine's own token."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from starlette.requests import Request

from tillstream.access import exposure, machine_token
from tillstream.access.keys import Entropy, KeyRepository, bearer_or_basic, key_file
from tillstream.access.password import Password, PasswordRepository
from tillstream.access.sessions import COOKIE, LoginAttempts, Sessions
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.web.middleware.proxies import Proxies

COOKIE_LIMIT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that the data directory holds."""

    password: PasswordRepository
    keys: KeyRepository
    token: str
    sessions: Sessions
    attempts: LoginAttempts


class Authenticator:
    """Checks requests. Without a password every request is allowed, unless one is `required`."""

    def __init__(
        self,
        credentials: Credentials | None,
        *,
        required: bool = False,
        tls: bool = False,
        proxies: Sequence[str] = (),
        any_name: bool = True,
    ) -> None:
        """Without `any_name`, an open server answers only requests for localhost or an address of this machine."""
        self._credentials = credentials
        self._any_name = any_name
        self._proxies = Proxies(proxies)
        self._required = required
        self._tls = tls
        # Checking a password uses a processor for a while: one at a time.
        self._checking = asyncio.Lock()

    @classmethod
    def open(cls) -> Self:
        """An authenticator that allows every request."""
        return cls(None)

    @classmethod
    def of(cls, directory: DataDirectory, settings: Settings, clock: Clock, entropy: Entropy) -> Self:
        """The authenticator of a data directory and its settings. Raises `AccessError`."""
        credentials = Credentials(
            PasswordRepository(directory.password, clock),
            KeyRepository(key_file(directory, settings), clock),
            machine_token.token(directory, entropy),
            Sessions(directory.sessions, clock, entropy, settings.session_hours),
            LoginAttempts(clock),
        )
        required = exposure.always_required(settings)
        return cls(
            credentials, required=required, tls=settings.tls, proxies=settings.proxies, any_name=settings.insecure
        )

    async def refresh(self) -> None:
        """Read the password and the keys again where it is time. Their files may lie on a network drive."""
        credentials = self._credentials
        if credentials is not None and (credentials.password.due or credentials.keys.due):
            await asyncio.to_thread(self._read, credentials)

    @staticmethod
    def _read(credentials: Credentials) -> None:
        credentials.password()
        credentials.keys()

    @property
    def is_required(self) -> bool:
        """Whether requests need credentials."""
        return self._required or self.has_password

    @property
    def has_password(self) -> bool:
        return self._password is not None

    @property
    def ingest_requires_key(self) -> bool:
        """Whether receipts need a key."""
        return self._required or (self._credentials is not None and self._credentials.keys.latest.guard_ingest)

    @property
    def session_s(self) -> int:
        """The lifetime of a session."""
        return self._credentials.sessions.lifetime_s if self._credentials is not None else 0

    @property
    def _password(self) -> Password | None:
        return self._credentials.password.latest if self._credentials is not None else None

    def allows(self, request: Request) -> bool:
        """Whether the request may be answered. A key for reading allows no change."""
        if not self.is_required or self._has_session(request):
            return True
        if self._credentials is not None and machine_token.is_token(_key(request), self._credentials.token):
            return True
        return request.method != "POST" and self.has_reading_key(request)

    def has_foreign_name(self, request: Request) -> bool:
        """Whether an open server is addressed by a foreign name, which a page may have pointed to it (DNS rebinding)."""
        host = request.headers.get("host", "")
        return not (self.is_required or self._any_name or ports.names_this_machine(host))

    def has_reading_key(self, request: Request) -> bool:
        """Whether the request has a key for reading."""
        key = self._credentials.keys.latest.find(_key(request)) if self._credentials is not None else None
        return key is not None and key.reads

    def _has_session(self, request: Request) -> bool:
        token, password = _session(request), self._password
        if not token or password is None or self._credentials is None:
            return False
        return self._credentials.sessions.is_active(token, password.salt)

    def wait_s(self, request: Request) -> int:
        """Seconds until the client may try a password; at 0 this call counts as an attempt."""
        return self._credentials.attempts.wait_s(self.client_address(request)) if self._credentials is not None else 0

    async def log_in(self, request: Request, given: str) -> str:
        """The token of a new session; empty where the password is wrong or there is none."""
        password = self._password
        if password is None or self._credentials is None:
            return ""
        async with self._checking:
            right = await asyncio.to_thread(password.matches, given)
        if not right:
            return ""
        self._credentials.attempts.forgive(self.client_address(request))
        return await asyncio.to_thread(self._credentials.sessions.open, password.salt)

    async def log_out(self, request: Request) -> None:
        """End the request's session."""
        if self._credentials is not None and (token := _session(request)):
            await asyncio.to_thread(self._credentials.sessions.close, token)

    def is_encrypted(self, request: Request) -> bool:
        """Whether the browser used HTTPS, to this server or to a proxy in front of it."""
        return self._tls or self._proxies.is_encrypted(request)

    def client_address(self, request: Request) -> str:
        """The address of the client."""
        return self._proxies.client_address(request)


def _key(request: Request) -> str:
    return bearer_or_basic(request.headers.get("authorization", "")) or request.headers.get("x-api-key", "")


def _session(request: Request) -> str:
    token = request.cookies.get(COOKIE, "")
    return token if len(token) <= COOKIE_LIMIT_CHARACTERS else ""
