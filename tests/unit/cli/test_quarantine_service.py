"""A running engine is asked over its port, with the same answers and errors as its desk gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import quarantine_service_of, queries_of, served
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tests.support.spare import spare_port
from tillstream.cli.quarantine_service import RemoteQuarantineService, open_desk
from tillstream.config.data_directory import DataDirectory, Holder, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, DatabaseUnavailable, IngestUnavailable
from tillstream.quarantine.service import Edit, LocalQuarantineService


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


@pytest.fixture
def pipeline(directory: DataDirectory) -> Iterator[Pipeline]:
    pipeline = Pipeline(directory.path)
    for _ in range(3):
        pipeline.refuse(json.dumps(body()).encode(), [{"path": "$", "error": 'ärgerlich & "so"', "hint": ""}])
    pipeline.drain()
    yield pipeline
    pipeline.close()


def test_given_a_running_engine_then_it_answers_as_its_own_desk(directory: DataDirectory, pipeline: Pipeline) -> None:
    own = quarantine_service_of(pipeline, queries_of(pipeline))
    with served(pipeline) as server, directory.lock("engine") as lock:
        lock.tell(server.address)
        with open_desk(directory, Settings()) as quarantine_service:
            assert isinstance(quarantine_service, RemoteQuarantineService)
            filters = {"reason": 'ärgerlich & "so"', "limit": "2"}
            page = quarantine_service.page(filters)
            assert page == own.page(filters)
            first, second = (entry["id"] for entry in page["entries"])
            assert quarantine_service.one(first) == own.one(first)
            assert quarantine_service.one("1") is None
            assert [each.became for each in quarantine_service.discard([first, "1"])] == ["discarded", "missing"]
            assert quarantine_service.replay(first) == own.replay(first)
            assert quarantine_service.replay("1", Edit(b"x")).became == "missing"
            with pytest.raises(IngestUnavailable, match="Connection refused"):
                quarantine_service.replay(second)
            with pytest.raises(BadQuery):
                quarantine_service.page({"day": "x"})
            for name in ("x", "", "a b", "counts", "1?settled=1"):
                for ask in (quarantine_service.replay, quarantine_service.one):
                    with pytest.raises(BadQuery, match="expected the id of an entry"):
                        ask(name)


def test_given_no_engine_then_the_files_are_opened(directory: DataDirectory, pipeline: Pipeline) -> None:
    pipeline.close()
    with open_desk(directory, Settings()) as quarantine_service:
        assert isinstance(quarantine_service, LocalQuarantineService)
        assert len(quarantine_service.page({})["entries"]) == 3


def test_given_an_engine_that_cannot_be_asked_then_it_is_told() -> None:
    with pytest.raises(DatabaseUnavailable, match="it is only starting"):
        RemoteQuarantineService(Holder("7", ""), {})
    quarantine_service = RemoteQuarantineService(Holder("7", f"http://127.0.0.1:{spare_port()}"), {})
    with pytest.raises(DatabaseUnavailable, match="could not ask the engine of process 7"):
        quarantine_service.page({})
