"""The token of this machine: who can read the data directory needs no key and no password on either port."""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from hmac import compare_digest
from pathlib import Path
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, build_opener

from tillstream.access.keys import Entropy
from tillstream.config.data_directory import DataDirectory, replace_secret
from tillstream.errors import AccessError

TOKEN_BYTES = 32


def token(directory: DataDirectory, entropy: Entropy) -> str:
    """The directory's token; it is made where there is none. Raises `AccessError`."""
    file = directory.machine_token
    try:
        if not file.exists():
            _make(file, entropy)
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError("read the machine's token in", file, error, "check who may read it, or remove it") from error
    if len(found) < TOKEN_BYTES:
        raise AccessError("read the machine's token in", file, "it is too short", "remove it; the next start makes one")
    return found


def _make(file: Path, entropy: Entropy) -> None:
    own = file.with_name(f"{file.name}.{os.getpid()}")
    replace_secret(own, f"{entropy(TOKEN_BYTES).hex()}\n".encode())
    try:
        # Of two processes that make one at the same time the first has made it.
        with suppress(FileExistsError):
            os.link(own, file)
    finally:
        own.unlink()


def known(directory: DataDirectory) -> str:
    """The directory's token; empty where there is none, or none that may be read."""
    try:
        return directory.machine_token.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def authorization(directory: DataDirectory) -> dict[str, str]:
    """The header that opens a port of this directory's processes; none where the token cannot be read."""
    found = known(directory)
    return {"Authorization": f"Bearer {found}"} if found else {}


def is_token(text: str, known: str) -> bool:
    """Whether the text is the token, in constant time; an empty token is none."""
    return bool(known) and compare_digest(text.encode("utf-8", "surrogatepass"), known.encode())


def opener() -> OpenerDirector:
    """What asks a process of this machine: no proxy lies between, and its certificate is for the name that others use.

    The address comes from the lock that the process holds, so nobody else can listen there.
    """
    return build_opener(ProxyHandler({}), HTTPSHandler(context=trusting()))


def trusting() -> ssl.SSLContext:
    """TLS that asks for no name; for connections that do not leave this machine."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
