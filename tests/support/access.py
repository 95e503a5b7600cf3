"""Keys and a password in a data directory, put there by the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.processes import TILLSTREAM

PASSWORD = "pain au levain"


def verb_output(*arguments: object, typed: str = "") -> str:
    """What a verb that must succeed prints on standard output when this is typed."""
    done = subprocess.run(
        [*TILLSTREAM, *map(str, arguments)], input=typed, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def set_password(data: Path, text: str = PASSWORD) -> None:
    verb_output("password", "set", "--data", data, typed=f"{text}\n")


def add_key(data: Path, *options: object) -> str:
    """The text of a new key; the options say what it is for: `--store`, `--all-stores` or `--read`."""
    return verb_output("keys", "add", *options, "--data", data)
