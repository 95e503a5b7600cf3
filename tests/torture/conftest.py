"""The seed of a torture."""

from __future__ import annotations

import os
import secrets

import pytest


@pytest.fixture
def seed(capsys: pytest.CaptureFixture[str]) -> str:
    """Of this run; TILLSTREAM_SEED repeats one."""
    chosen = os.environ.get("TILLSTREAM_SEED") or secrets.token_hex(4)
    with capsys.disabled():
        print(f"\nTILLSTREAM_SEED={chosen}", flush=True)  # noqa: T201 - whoever sees it fail needs it
    return chosen
