"""Sessions of the dashboard. A login starts a session."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import msgspec
import structlog
from msgspec import Struct

from tillstream.access.keys import Entropy
from tillstream.clock import Clock
from tillstream.config.files import replace_file

COOKIE = "tillstream_session"
"""The name of the cookie that contains a session token."""

VERSION = 1
TOKEN_BYTES = 32

SESSIONS_LIMIT = 1_000
"""The maximum number of simultaneous sessions. A further session replaces the oldest."""

logger = structlog.get_logger()


class Session(Struct, frozen=True):
    """A session, which ends at `until_us` (microseconds since 1970).

    `password` is the salt of the password at login. A new password has a new salt, so it ends the session.
    """

    until_us: int
    password: str


class _File(Struct):
    version: int
    sessions: dict[str, Session]


class Sessions:
    """All sessions, by the digest of their random token. A file keeps them across restarts. Thread-safe."""

    def __init__(self, file: Path, clock: Clock, entropy: Entropy, hours: int) -> None:
        """`hours` is the lifetime of a session."""
        self._file = file
        self._clock = clock
        self._entropy = entropy
        self.lifetime_s = hours * 3_600
        self._changing = Lock()
        self._sessions = _read(file)

    def open(self, password: str) -> str:
        """Create a session and return its token. `password` is the salt of the current password. Writes to disk."""
        token = urlsafe_b64encode(self._entropy(TOKEN_BYTES)).rstrip(b"=").decode()
        now_us = self._clock.now_us()
        with self._changing:
            active = {
                digest: session
                for digest, session in self._sessions.items()
                if session.until_us > now_us and session.password == password
            }
            active[_digest(token)] = Session(now_us + self.lifetime_s * 1_000_000, password)
            for digest in list(active)[:-SESSIONS_LIMIT]:
                del active[digest]
            self._save(active)
        return token

    def is_active(self, token: str, password: str) -> bool:
        """Return whether the token has an active session. `password` is the salt of the current password."""
        # The lookup is by digest, so its duration reveals nothing about a token.
        session = self._sessions.get(_digest(token))
        return session is not None and session.password == password and self._clock.now_us() < session.until_us

    def close(self, token: str) -> None:
        """End the session of a token, if it exists. Writes to disk."""
        with self._changing:
            digest = _digest(token)
            if digest in self._sessions:
                self._save({other: session for other, session in self._sessions.items() if other != digest})

    def _save(self, sessions: dict[str, Session]) -> None:
        self._sessions = sessions
        try:
            replace_file(self._file, msgspec.json.encode(_File(VERSION, sessions)) + b"\n", secret=True)
        except OSError as error:
            logger.warning("sessions.not_saved", file=str(self._file), reason=error.strerror or str(error))


def _read(file: Path) -> dict[str, Session]:
    """Read the stored sessions. If the file is unreadable, there are no sessions, and users have to log in again."""
    try:
        stored = msgspec.json.decode(file.read_bytes(), type=_File)
        return stored.sessions if stored.version == VERSION else {}
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("sessions.unreadable", file=str(file), reason=str(error))
        return {}


def _digest(token: str) -> str:
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32, person=b"tillstream login").hexdigest()
