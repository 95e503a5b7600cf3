"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

DAYS = itertools.count()


@pytest.fixture
def day() -> str:
    """A day that no other test uses, for tests that share a server."""
    return str(date(2026, 9, 1) + timedelta(days=next(DAYS)))
