"""Set keys and a password with the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.processes import TILLSTREAM

PASSWORD = "pain au levain"


def verb_output(*arguments: object, typed: str = "") -> str:
    """Run a verb that must succeed with this input, and return its standard output."""
    done = subprocess.run(
        [*TILLSTREAM, *map(str, arguments)], input=typed, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def set_password(data: Path, text: str = PASSWORD) -> None:
    verb_output("password", "set", "--data", data, typed=f"{text}\n")


def add_key(data: Path, *options: object) -> str:
    """Add a key, and return its text. The options `--store`, `--all-stores` and `--read` set its rights."""
    return verb_output("keys", "add", *options, "--data", data)
