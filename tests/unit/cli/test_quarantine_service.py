"""A running engine is asked over its port, with the same answers and errors as its desk gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import desk_of, served, views_of
from tests.inprocess.pipeline import Pipeline
from tests.support.receipts import body
from tests.support.spare import spare_port
from tillstream.cli.quarantine_service import AskedDesk, open_desk
from tillstream.config.data_directory import DataDirectory, Holder, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, IngestUnavailable, StoreUnavailable
from tillstream.quarantine.service import Edit, OpenDesk


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
    own = desk_of(pipeline, views_of(pipeline))
    with served(pipeline) as server, directory.lock("engine") as lock:
        lock.tell(server.address)
        with open_desk(directory, Settings()) as desk:
            assert isinstance(desk, AskedDesk)
            filters = {"reason": 'ärgerlich & "so"', "limit": "2"}
            page = desk.page(filters)
            assert page == own.page(filters)
            first, second = (entry["id"] for entry in page["entries"])
            assert desk.one(first) == own.one(first)
            assert desk.one("1") is None
            assert [each.became for each in desk.discard([first, "1"])] == ["discarded", "missing"]
            assert desk.replay(first) == own.replay(first)
            assert desk.replay("1", Edit(b"x")).became == "missing"
            with pytest.raises(IngestUnavailable, match="Connection refused"):
                desk.replay(second)
            with pytest.raises(BadQuery):
                desk.page({"day": "x"})
            for name in ("x", "", "a b", "counts", "1?settled=1"):
                for ask in (desk.replay, desk.one):
                    with pytest.raises(BadQuery, match="expected the id of an entry"):
                        ask(name)


def test_given_no_engine_then_the_files_are_opened(directory: DataDirectory, pipeline: Pipeline) -> None:
    pipeline.close()
    with open_desk(directory, Settings()) as desk:
        assert isinstance(desk, OpenDesk)
        assert len(desk.page({})["entries"]) == 3


def test_given_an_engine_that_cannot_be_asked_then_it_is_told() -> None:
    with pytest.raises(StoreUnavailable, match="it is only starting"):
        AskedDesk(Holder("7", ""), {})
    desk = AskedDesk(Holder("7", f"http://127.0.0.1:{spare_port()}"), {})
    with pytest.raises(StoreUnavailable, match="could not ask the engine of process 7"):
        desk.page({})
