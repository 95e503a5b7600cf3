"""An ingest server for each test that needs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.clock import ManualClock
from tests.inprocess.ingest import Ingest, Start
from tests.support.ingest import RECEIVED_US


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server with the given settings and log, and a clock that is stopped at `RECEIVED_US`."""
    started = []

    def start(**settings: Any) -> Ingest:
        ingest = Ingest(tmp_path / "data", clock=ManualClock(RECEIVED_US), **settings)
        started.append(ingest)
        return ingest

    yield start
    for ingest in started:
        ingest.close()


@pytest.fixture
def ingest(start: Start) -> Ingest:
    return start()
