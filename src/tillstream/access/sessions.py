"""Who is logged in to the dashboard: random tokens, of which only digests are kept, over a restart too."""

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

VERSION = 1
TOKEN_BYTES = 32

SESSIONS_LIMIT = 1_000
"""Most that are logged in at a time; the oldest login ends for one more."""

logger = structlog.get_logger()


class Session(Struct, frozen=True):
    """`password` is the salt of the one that opened it: a new password ends every session."""

    until_us: int
    password: str


class _Kept(Struct):
    version: int
    sessions: dict[str, Session]


class Sessions:
    """Sessions by the digests of their tokens, the oldest first. Safe from any thread."""

    def __init__(self, file: Path, clock: Clock, entropy: Entropy, hours: int) -> None:
        self._file = file
        self._clock = clock
        self._entropy = entropy
        self._lasts_us = hours * 3_600_000_000
        self._changing = Lock()
        self._sessions = _read(file)

    @property
    def lasts_s(self) -> int:
        return self._lasts_us // 1_000_000

    def open(self, password: str) -> str:
        """The token of a new session; `password` is the salt of the one that was given. Waits for the disk."""
        token = urlsafe_b64encode(self._entropy(TOKEN_BYTES)).rstrip(b"=").decode()
        now_us = self._clock.now_us()
        with self._changing:
            lasting = {
                digest: session
                for digest, session in self._sessions.items()
                if session.until_us > now_us and session.password == password
            }
            lasting[_digest(token)] = Session(now_us + self._lasts_us, password)
            for digest in list(lasting)[:-SESSIONS_LIMIT]:
                del lasting[digest]
            self._keep(lasting)
        return token

    def lasts(self, token: str, password: str) -> bool:
        """Whether the token opens a session now, while the password has this salt."""
        # A digest is looked up, so how long that takes says nothing of a token.
        session = self._sessions.get(_digest(token))
        return session is not None and session.password == password and self._clock.now_us() < session.until_us

    def close(self, token: str) -> None:
        """End a session, where there is one. Waits for the disk."""
        with self._changing:
            digest = _digest(token)
            if digest in self._sessions:
                self._keep({known: session for known, session in self._sessions.items() if known != digest})

    def _keep(self, sessions: dict[str, Session]) -> None:
        self._sessions = sessions
        try:
            replace_secret(self._file, msgspec.json.encode(_Kept(VERSION, sessions)) + b"\n")
        except OSError as error:
            logger.warning("sessions_not_kept", file=str(self._file), reason=error.strerror or str(error))


def _read(file: Path) -> dict[str, Session]:
    """The sessions of before; where they cannot be read, people log in again."""
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
        return kept.sessions if kept.version == VERSION else {}
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("sessions_unreadable", file=str(file), reason=str(error))
        return {}


def _digest(token: str) -> str:
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32, person=b"tillstream login").hexdigest()
