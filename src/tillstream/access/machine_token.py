"""The machine token, a file in the data directory. A program that sends this token needs no key and no password."""

from __future__ import annotations

import os
from contextlib import suppress
from hmac import compare_digest
from pathlib import Path

from tillstream.access.keys import Entropy
from tillstream.config.data_directory import DataDirectory
from tillstream.config.files import replace_file
from tillstream.errors import AccessError

TOKEN_BYTES = 32


def token(directory: DataDirectory, entropy: Entropy) -> str:
    """Return the token of the directory, and create it if it is missing. Raises `AccessError` if this fails."""
    file = directory.machine_token
    try:
        if not file.exists():
            _create(file, entropy)
        found = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError("read the machine token in", file, error, "check its permissions, or remove it") from error
    if len(found) < TOKEN_BYTES:
        raise AccessError("read the machine token in", file, "it is too short", "remove it; the next start creates one")
    return found


def _create(file: Path, entropy: Entropy) -> None:
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    replace_file(temporary, f"{entropy(TOKEN_BYTES).hex()}\n".encode(), secret=True)
    try:
        # If another process has just created the file, keep that token, so that both processes use the same one.
        with suppress(FileExistsError):
            os.link(temporary, file)
    finally:
        temporary.unlink()


def read(directory: DataDirectory) -> str:
    """Return the token of the directory, or an empty string if it is missing or unreadable."""
    try:
        return directory.machine_token.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def authorization(directory: DataDirectory) -> dict[str, str]:
    """Return the request headers that carry the token, or no headers if it is missing or unreadable."""
    token = read(directory)
    return {"Authorization": f"Bearer {token}"} if token else {}


def is_token(text: str, token: str) -> bool:
    """Return whether the text is the token. The comparison takes constant time. An empty token matches nothing."""
    return bool(token) and compare_digest(text.encode("utf-8", "surrogatepass"), token.encode())
