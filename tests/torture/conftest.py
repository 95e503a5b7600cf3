"""The random seed of the torture tests."""

from __future__ import annotations

import os
import secrets

import pytest


@pytest.fixture
def seed(capsys: pytest.CaptureFixture[str]) -> str:
    """The seed of this run. Set TILLSTREAM_SEED to repeat a run."""
    chosen = os.environ.get("TILLSTREAM_SEED") or secrets.token_hex(4)
    with capsys.disabled():
        print(f"\nTILLSTREAM_SEED={chosen}", flush=True)  # noqa: T201 - needed to repeat a failed run
    return chosen
