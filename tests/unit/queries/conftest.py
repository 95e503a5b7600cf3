"""Fixtures: a real pipeline, its queries, and reads that are interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.inprocess.dashboard import queries_of
from tests.inprocess.pipeline import Pipeline
from tillstream.database.base import Reader, Row
from tillstream.queries.queries import Queries


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


@pytest.fixture
def queries(pipeline: Pipeline) -> Queries:
    return queries_of(pipeline)


class Interrupted(Reader):
    """A reader that calls a function before each query that contains `needle`."""

    def __init__(self, reader: Reader, needle: str, happens: Callable[[], object]) -> None:
        self._reader = reader
        self._needle = needle
        self._happens = happens

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        if self._needle in sql:
            self._happens()
        return self._reader.query(sql, parameters)

    def verify(self, metric: str) -> list[Row]:
        return self._reader.verify(metric)


@pytest.fixture
def interrupt(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Call a function before each query that contains a text."""

    def interrupted(needle: str, happens: Callable[[], object]) -> None:
        snapshot = pipeline.database.snapshot

        @contextmanager
        def disturbed() -> Iterator[Reader]:
            with snapshot() as reader:
                yield Interrupted(reader, needle, happens)

        monkeypatch.setattr(pipeline.database, "snapshot", disturbed)

    return interrupted
