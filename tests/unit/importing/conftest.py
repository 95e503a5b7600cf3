"""The real ingest, and what takes files into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.inprocess.ingest import Ingest
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.importing.taking import Taker


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    server = Ingest(tmp_path / "data")
    yield server
    server.close()


@pytest.fixture
def url(ingest: Ingest) -> str:
    return f"http://127.0.0.1:{ingest.port}"


@pytest.fixture
def taker(tmp_path: Path) -> Callable[..., Taker]:
    """Makes one with what a test wants otherwise, settings among it."""

    def make(**given: Any) -> Taker:
        names = Settings.__struct_fields__
        settings = msgspec.structs.replace(Settings(), **{name: given.pop(name) for name in [*given] if name in names})
        others: dict[str, Any] = {"state": tmp_path / "state", "mark": "here", "entrance": "import"} | given
        return Taker(settings=settings, formats=registry.load(settings), clock=SystemClock(), **others)

    return make
