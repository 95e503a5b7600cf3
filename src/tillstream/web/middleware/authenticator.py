"""Who may see the dashboard: whoever gave the password, has a key for reading, or sits on this machine's own files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from starlette.requests import Request

from tillstream.access import exposure, key_file, machine_token
from tillstream.access.key_file import KeyRepository
from tillstream.access.keys import Entropy, bearer_or_basic
from tillstream.access.login_attempts import LoginAttempts
from tillstream.access.password import Password, PasswordRepository
from tillstream.access.sessions import Sessions
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.web.middleware.proxies import Proxies

COOKIE = "tillstream_session"
COOKIE_LIMIT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Files:
    """What an entrance is made of, as it is kept in files."""

    password: PasswordRepository
    keys: KeyRepository
    token: str
    sessions: Sessions
    attempts: LoginAttempts


class Entrance:
    """Decides of a request whether it may come in. While there is no password, everyone may, unless one is `required`."""

    def __init__(
        self,
        files: Files | None,
        *,
        required: bool = False,
        tls: bool = False,
        proxies: Sequence[str] = (),
        any_name: bool = True,
    ) -> None:
        """Without `any_name`, while everybody comes in, only who asks for this machine by its address or as localhost."""
        self._files = files
        self._any_name = any_name
        self._proxies = Proxies(proxies)
        self._required = required
        self._tls = tls
        # A guess takes a processor for a while: one at a time.
        self._guessing = asyncio.Lock()

    @classmethod
    def open(cls) -> Self:
        """One that lets everybody in."""
        return cls(None)

    @classmethod
    def of(cls, directory: DataDirectory, settings: Settings, clock: Clock, entropy: Entropy) -> Self:
        """The one that the directory and the settings lead to. Raises `AccessError`."""
        files = Files(
            PasswordRepository(directory.password, clock),
            KeyRepository(key_file.path(directory, settings), clock),
            machine_token.token(directory, entropy),
            Sessions(directory.sessions, clock, entropy, settings.session_hours),
            LoginAttempts(clock),
        )
        required = exposure.always_required(settings)
        return cls(files, required=required, tls=settings.tls, proxies=settings.proxies, any_name=settings.insecure)

    async def refresh(self) -> None:
        """See what has become of the password and the keys, whose files may lie on another machine."""
        if self._files is not None and (self._files.password.due or self._files.keys.due):
            await asyncio.to_thread(self._look, self._files)

    @staticmethod
    def _look(files: Files) -> None:
        files.password()
        files.keys()

    @property
    def asks(self) -> bool:
        """Whether it lets in only those who are known."""
        return self._required or self.has_password

    @property
    def has_password(self) -> bool:
        return self._password is not None

    @property
    def ingest_asks(self) -> bool:
        """Whether receipts need a key."""
        return self._required or (self._files is not None and self._files.keys.latest.guard_ingest)

    @property
    def lasts_s(self) -> int:
        """How long a session lasts."""
        return self._files.sessions.lifetime_s if self._files is not None else 0

    @property
    def _password(self) -> Password | None:
        return self._files.password.latest if self._files is not None else None

    def admits(self, request: Request) -> bool:
        """Whether the request comes from somebody who is known, or need not be. A key for reading changes nothing."""
        if not self.asks or self._in_session(request):
            return True
        if self._files is not None and machine_token.is_token(_given(request), self._files.token):
            return True
        return request.method != "POST" and self.has_reading_key(request)

    def is_misled(self, request: Request) -> bool:
        """Whether a page of elsewhere may be asking: one whose name was made to lead here, while all may come in."""
        return not (self.asks or self._any_name or ports.names_this_machine(request.headers.get("host", "")))

    def has_reading_key(self, request: Request) -> bool:
        """Whether it brings a key for reading."""
        key = self._files.keys.latest.find(_given(request)) if self._files is not None else None
        return key is not None and key.reads

    def _in_session(self, request: Request) -> bool:
        token, password = _session(request), self._password
        if not token or password is None or self._files is None:
            return False
        return self._files.sessions.is_active(token, password.salt)

    def wait_s(self, request: Request) -> int:
        """0 where the password may be tried now, and the try counts; else how many seconds to wait."""
        return self._files.attempts.wait_s(self.address(request)) if self._files is not None else 0

    async def try_password(self, request: Request, given: str) -> str:
        """The token of a new session; empty where the password is another one, or there is none."""
        password = self._password
        if password is None or self._files is None:
            return ""
        async with self._guessing:
            right = await asyncio.to_thread(password.matches, given)
        if not right:
            return ""
        self._files.attempts.forgive(self.address(request))
        return await asyncio.to_thread(self._files.sessions.open, password.salt)

    async def leave(self, request: Request) -> None:
        """End the request's session."""
        if self._files is not None and (token := _session(request)):
            await asyncio.to_thread(self._files.sessions.close, token)

    def is_encrypted(self, request: Request) -> bool:
        """Whether the browser came by HTTPS, to us or to a proxy in front of us."""
        return self._tls or self._proxies.encrypts(request)

    def address(self, request: Request) -> str:
        """Who asks."""
        return self._proxies.address(request)


def _given(request: Request) -> str:
    return bearer_or_basic(request.headers.get("authorization", "")) or request.headers.get("x-api-key", "")


def _session(request: Request) -> str:
    token = request.cookies.get(COOKIE, "")
    return token if len(token) <= COOKIE_LIMIT_CHARACTERS else ""
