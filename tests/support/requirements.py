"""Skip tests whose programs are not installed. With `CI=true` these tests fail instead."""

from __future__ import annotations

import os
import shutil

import pytest


def skip_or_fail(reason: str) -> None:
    """Skip the test if there is a reason, or fail it in CI."""
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def require_program(name: str) -> str:
    """Return the path of a program. Skip the test if the program is missing, or fail it in CI."""
    path = shutil.which(name)
    skip_or_fail("" if path else f"{name} is missing")
    return str(path)
