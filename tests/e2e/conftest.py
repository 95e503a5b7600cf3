"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from pathlib import Path

import pytest

DAYS = itertools.count()


@pytest.fixture
def day() -> str:
    """A day that no other test uses, for tests that share a server."""
    return str(date(2026, 9, 1) + timedelta(days=next(DAYS)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The path of a data directory that does not exist yet."""
    return tmp_path / "data"
