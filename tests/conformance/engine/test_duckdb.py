"""The embedded engine passes the suite of the engine port."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.engine.suite import EngineSuite
from tests.inprocess.pipeline import Pipeline
from tillstream.config.settings import Settings


class TestEmbeddedEngine(EngineSuite):
    def make(self, path: Path, settings: Settings | None = None) -> Pipeline:
        return Pipeline(path, settings)
