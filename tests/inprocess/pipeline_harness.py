"""Ingest, log, engine, database and queries together in the test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.inprocess.dashboard import queries_of
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.ingest import Answer
from tillstream.config.settings import Settings
from tillstream.queries.queries import Queries


class PipelineHarness:
    """Ingest and a pipeline that share one log."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.pipeline = Pipeline(path, msgspec.structs.replace(Settings(), **settings))
        self.ingest = Ingest(path / "ingest", self.pipeline.log, self.pipeline.clock, **settings)
        self.queries: Queries = queries_of(self.pipeline)

    def post(self, path: str, body: bytes, media_type: str) -> Answer:
        """Post a body, process the log, and return the answer."""
        answer = self.ingest.post(path, body, media_type)
        self.pipeline.drain()
        return answer

    def close(self) -> None:
        self.ingest.close()
        self.pipeline.engine.close()
        self.pipeline.database.close()


@contextmanager
def pipeline_harness(path: Path, **settings: Any) -> Iterator[PipelineHarness]:
    """Open a pipeline harness in a directory."""
    running = PipelineHarness(path, **settings)
    try:
        yield running
    finally:
        running.close()
