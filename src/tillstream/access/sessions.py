"""Sessions of the dashboard: random tokens, of which only digests are stored; they survive a restart."""

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
from tillstream.config.data_directory import replace_secret

COOKIE = "tillstream_session"
"""The cookie that holds a session's token."""

VERSION = 1
TOKEN_BYTES = 32

SESSIONS_LIMIT = 1_000
"""Maximum simultaneous sessions; a new one replaces the oldest."""

logger = structlog.get_logger()


class Session(Struct, frozen=True):
    """A session. `password` is the salt of the password that opened it, so a new password ends every session."""

    until_us: int
    password: str


class _File(Struct):
    version: int
    sessions: dict[str, Session]


class Sessions:
    """Sessions by the digest of their token, the oldest first. Thread-safe."""

    def __init__(self, file: Path, clock: Clock, entropy: Entropy, hours: int) -> None:
        self._file = file
        self._clock = clock
        self._entropy = entropy
        self._lifetime_us = hours * 3_600_000_000
        self._changing = Lock()
        self._sessions = _read(file)

    @property
    def lifetime_s(self) -> int:
        return self._lifetime_us // 1_000_000

    def open(self, password: str) -> str:
        """Open a session and return its token; `password` is the salt of the current password. Waits for the disk."""
        token = urlsafe_b64encode(self._entropy(TOKEN_BYTES)).rstrip(b"=").decode()
        now_us = self._clock.now_us()
        with self._changing:
            active = {
                digest: session
                for digest, session in self._sessions.items()
                if session.until_us > now_us and session.password == password
            }
            active[_digest(token)] = Session(now_us + self._lifetime_us, password)
            for digest in list(active)[:-SESSIONS_LIMIT]:
                del active[digest]
            self._save(active)
        return token

    def is_active(self, token: str, password: str) -> bool:
        """Whether the token belongs to an active session under the password with this salt."""
        # The lookup is by digest, so its duration reveals nothing about a token.
        session = self._sessions.get(_digest(token))
        return session is not None and session.password == password and self._clock.now_us() < session.until_us

    def close(self, token: str) -> None:
        """End the session of a token, if it exists. Waits for the disk."""
        with self._changing:
            digest = _digest(token)
            if digest in self._sessions:
                self._save({other: session for other, session in self._sessions.items() if other != digest})

    def _save(self, sessions: dict[str, Session]) -> None:
        self._sessions = sessions
        try:
            replace_secret(self._file, msgspec.json.encode(_File(VERSION, sessions)) + b"\n")
        except OSError as error:
            logger.warning("sessions.not_saved", file=str(self._file), reason=error.strerror or str(error))


def _read(file: Path) -> dict[str, Session]:
    """Read the stored sessions. If they are unreadable, users log in again."""
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
