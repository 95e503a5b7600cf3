"""A real ingest, and importers that send files to it."""

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
from tillstream.importing.importer import Importer


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    server = Ingest(tmp_path / "data")
    yield server
    server.close()


@pytest.fixture
def url(ingest: Ingest) -> str:
    return f"http://127.0.0.1:{ingest.port}"


@pytest.fixture
def importer(tmp_path: Path) -> Callable[..., Importer]:
    """Makes an importer with the settings and arguments of a test."""

    def make(**given: Any) -> Importer:
        names = Settings.__struct_fields__
        settings = msgspec.structs.replace(Settings(), **{name: given.pop(name) for name in [*given] if name in names})
        others: dict[str, Any] = {"state": tmp_path / "state", "log_id": "here", "channel": "import"} | given
        return Importer(settings=settings, formats=registry.load(settings), clock=SystemClock(), **others)

    return make
