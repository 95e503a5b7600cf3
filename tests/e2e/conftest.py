"""What these tests share where several of them speak to one server."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

DAYS = itertools.count()


@pytest.fixture
def day() -> str:
    """One on which no other test sells."""
    return str(date(2026, 9, 1) + timedelta(days=next(DAYS)))
