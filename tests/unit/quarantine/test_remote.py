"""The quarantine service of a running engine gives the same results and errors over HTTP as in its process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import dashboard_server, quarantine_service_of, queries_of
from tests.inprocess.pipeline import Pipeline
from tests.support.free_ports import free_port
from tests.support.receipts import body
from tillstream.cli.quarantine import open_service
from tillstream.config.data_directory import DataDirectory, Holder, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, DatabaseUnavailable, IngestUnavailable
from tillstream.quarantine.remote import RemoteQuarantineService
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


def test_a_running_engine_answers_like_its_own_service(directory: DataDirectory, pipeline: Pipeline) -> None:
    local = quarantine_service_of(pipeline, queries_of(pipeline))
    with dashboard_server(pipeline) as server, directory.lock("engine") as lock:
        lock.publish(server.address)
        with open_service(directory, Settings()) as service:
            assert isinstance(service, RemoteQuarantineService)
            filters = {"reason": 'ärgerlich & "so"', "limit": "2"}
            page = service.page(filters)
            assert page == local.page(filters)
            first, second = (entry["id"] for entry in page["entries"])
            assert service.one(first) == local.one(first)
            assert service.one("1") is None
            assert [each.became for each in service.discard([first, "1"])] == ["discarded", "missing"]
            assert service.replay(first) == local.replay(first)
            assert service.replay("1", Edit(b"x")).became == "missing"
            with pytest.raises(IngestUnavailable, match="Connection refused"):
                service.replay(second)
            with pytest.raises(BadQuery):
                service.page({"day": "x"})
            for name in ("x", "", "a b", "counts", "1?settled=1"):
                for call in (service.replay, service.one):
                    with pytest.raises(BadQuery, match="expected the id of an entry"):
                        call(name)


def test_without_an_engine_the_files_are_opened(directory: DataDirectory, pipeline: Pipeline) -> None:
    pipeline.close()
    with open_service(directory, Settings()) as service:
        assert isinstance(service, LocalQuarantineService)
        assert len(service.page({})["entries"]) == 3


def test_an_engine_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(DatabaseUnavailable, match="it is only starting"):
        RemoteQuarantineService(Holder("7", ""), {})
    service = RemoteQuarantineService(Holder("7", f"http://127.0.0.1:{free_port()}"), {})
    with pytest.raises(DatabaseUnavailable, match="could not ask the engine of process 7"):
        service.page({})
