"""Set keys and a password with the command line, and send keys."""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import verb_output

PASSWORD = "pain au levain"


def bearer(key: str) -> dict[str, str]:
    """The request header that sends a key."""
    return {"Authorization": f"Bearer {key}"}


def set_password(data: Path, text: str = PASSWORD) -> None:
    verb_output("password", "set", "--data", data, typed=f"{text}\n")


def add_key(data: Path, *options: object) -> str:
    """Add a key, and return its text. The options `--store`, `--all-stores` and `--read` set its rights."""
    return verb_output("keys", "add", *options, "--data", data)
