"""An entry is resolved once, in the process of the engine or over HTTP. Otherwise it stays, with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.inprocess.dashboard import dashboard_server, quarantine_service_of, queries_of
from tests.inprocess.ingest import Ingest
from tests.inprocess.pipeline import Pipeline
from tests.support.free_ports import free_port
from tests.support.receipts import body
from tillstream.cli.quarantine import open_service
from tillstream.config.data_directory import DataDirectory, Holder, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import BadQuery, DatabaseUnavailable, IngestUnavailable
from tillstream.quarantine.decisions import Decisions
from tillstream.quarantine.service import Edit, LocalQuarantineService, RemoteQuarantineService
from tillstream.queries.quarantine import Resolution
from tillstream.receipt.model import receipt_key

DOLLARS = {**body(cashReceiptID="9"), "currency": "USD"}
REASONS = [{"path": "$.currency", "error": 'expected EUR, got "USD"', "hint": ""}]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with closing(Pipeline(tmp_path)) as pipeline:
        yield pipeline


@pytest.fixture
def ingest(pipeline: Pipeline) -> Iterator[Ingest]:
    """An ingest that writes to the pipeline's log and deals in dollars."""
    with closing(Ingest(pipeline.path, pipeline.log, pipeline.clock, currency="USD")) as ingest:
        yield ingest


def service_at(pipeline: Pipeline, ingest: Ingest) -> LocalQuarantineService:
    return quarantine_service_of(pipeline, queries_of(pipeline), f"http://127.0.0.1:{ingest.port}")


def refused(pipeline: Pipeline, content: bytes) -> str:
    pipeline.refuse(content, REASONS)
    pipeline.drain()
    return str(queries_of(pipeline).quarantine().entries[0].id)


def test_a_replay_after_the_cause_was_fixed_counts_once_and_resolves_the_entry(
    pipeline: Pipeline, ingest: Ingest
) -> None:
    entry = refused(pipeline, json.dumps(DOLLARS).encode())
    service = service_at(pipeline, ingest)
    outcome = service.replay(entry)
    key = receipt_key("12", "3", "9", "2026-11-23 11:59:58")
    assert (outcome.became, outcome.key, outcome.day, outcome.receipts) == ("replayed", key, "2026-11-23", 1)
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 1
    assert service.page({}).entries == []
    [resolved] = service.page({"settled": "1"}).entries
    assert resolved.settled == Resolution("replayed", "2026-11-23T11:00:00.000Z", key)
    found = service.one(entry)
    assert found is not None
    assert found.settled == resolved.settled
    again = service.replay(entry)
    assert (again.became, again.errors[0]["error"]) == ("settled", "it is replayed already")
    pipeline.drain()
    assert pipeline.counter("duplicates") == 0


def test_a_replay_that_is_refused_again_leaves_the_entry_open(pipeline: Pipeline, ingest: Ingest) -> None:
    entry = refused(pipeline, b'{"storeID": 1}')
    outcome = service_at(pipeline, ingest).replay(entry)
    assert outcome.became == "refused"
    assert outcome.stays
    assert {error["path"] for error in outcome.errors} >= {"$.date", "$.cashReceiptID"}
    pipeline.drain()
    assert [each.id for each in queries_of(pipeline).quarantine().entries] == [entry]


def test_an_edited_receipt_is_posted_instead_of_the_original(pipeline: Pipeline, ingest: Ingest) -> None:
    entry = refused(pipeline, b"{broken")
    edited = json.dumps(body(cashReceiptID="10")).encode() + b"\n"
    outcome = service_at(pipeline, ingest).replay(entry, Edit(edited, "ndjson"))
    assert outcome.became == "replayed"
    pipeline.drain()
    assert pipeline.database.query("SELECT receipt, source FROM receipts") == [
        {"receipt": "10", "source": "json/replay"}
    ]


def test_a_conflict_is_replayed_only_if_it_was_edited(pipeline: Pipeline, ingest: Ingest) -> None:
    pipeline.append(body())
    pipeline.drain()
    pipeline.append(body(documentTotal={"grossTotal": 9}))
    pipeline.drain()
    service = service_at(pipeline, ingest)
    [conflict] = service.page({}).entries
    assert service.replay(conflict.id).became == "impossible"
    edited = json.dumps(body(cashReceiptID="2", documentTotal={"grossTotal": 9})).encode()
    assert service.replay(conflict.id, Edit(edited)).became == "replayed"
    pipeline.drain()
    assert pipeline.rows("sales")[0]["receipts"] == 2


@pytest.mark.parametrize("named", ["nonsense", "text/nonsense"])
def test_an_unknown_format_is_not_replayed(pipeline: Pipeline, named: str) -> None:
    entry = refused(pipeline, b"{")
    outcome = quarantine_service_of(pipeline, queries_of(pipeline)).replay(entry, Edit(type=named))
    assert (outcome.became, outcome.errors[0]["error"]) == ("impossible", f"there is no format {named!r}")


def test_without_an_ingest_the_entry_stays_open(pipeline: Pipeline) -> None:
    entry = refused(pipeline, b"{}")
    service = quarantine_service_of(pipeline, queries_of(pipeline))
    with pytest.raises(IngestUnavailable):
        service.replay(entry)
    assert [each.id for each in service.page({}).entries] == [entry]


def test_discarded_entries_leave_the_list_and_each_has_an_outcome(pipeline: Pipeline) -> None:
    first, second = refused(pipeline, b"{"), refused(pipeline, b"[")
    service = quarantine_service_of(pipeline, queries_of(pipeline))
    assert [each.became for each in service.discard([first, second, first, "1"])] == [
        "discarded",
        "discarded",
        "discarded",
        "missing",
    ]
    assert [each.became for each in service.discard([first])] == ["settled"]
    assert service.discard([]) == []
    assert service.page({}).entries == []
    assert len(list(Decisions(pipeline.path / "decisions.ndjson").all())) == 2


def test_an_unknown_entry_is_missing_and_an_invalid_id_is_an_error(pipeline: Pipeline) -> None:
    service = quarantine_service_of(pipeline, queries_of(pipeline))
    assert service.replay("1").became == "missing"
    for call in (lambda: service.replay("x"), lambda: service.discard(["x"])):
        with pytest.raises(BadQuery):
            call()


def test_an_entry_with_only_the_beginning_of_its_original_is_not_replayed(pipeline: Pipeline, ingest: Ingest) -> None:
    header = b"cashReceiptID,storeID,date,grossTotal\n"
    rows = b"".join(b"%d,12,2026-11-23 10:15:00,1234.56\n" % number for number in range(40_000))
    assert ingest.post("/receipts", header + rows).status == 422
    pipeline.drain()
    service = service_at(pipeline, ingest)
    [entry] = service.page({}).entries
    for edit in (None, Edit(type="csv")):
        outcome = service.replay(entry.id, edit)
        assert (outcome.became, outcome.errors[0]["error"]) == (
            "impossible",
            "only the beginning of the original is stored",
        )
    outcome = service.replay(entry.id, Edit(header + rows.splitlines()[0], "csv"))
    assert (outcome.became, outcome.receipts) == ("replayed", 1)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


@pytest.fixture
def refusals(directory: DataDirectory) -> Iterator[Pipeline]:
    pipeline = Pipeline(directory.path)
    for _ in range(3):
        pipeline.refuse(json.dumps(body()).encode(), [{"path": "$", "error": 'ärgerlich & "so"', "hint": ""}])
    pipeline.drain()
    yield pipeline
    pipeline.close()


def test_a_running_engine_answers_like_its_own_service(directory: DataDirectory, refusals: Pipeline) -> None:
    local = quarantine_service_of(refusals, queries_of(refusals))
    with dashboard_server(refusals) as server, directory.lock("engine") as lock:
        lock.publish(server.address)
        with open_service(Settings(), directory) as service:
            assert isinstance(service, RemoteQuarantineService)
            filters = {"reason": 'ärgerlich & "so"', "limit": "2"}
            page = service.page(filters)
            assert page == local.page(filters)
            first, second = (entry.id for entry in page.entries)
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


def test_without_an_engine_the_files_are_opened(directory: DataDirectory, refusals: Pipeline) -> None:
    refusals.close()
    with open_service(Settings(), directory) as service:
        assert isinstance(service, LocalQuarantineService)
        assert len(service.page({}).entries) == 3


def test_an_engine_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(DatabaseUnavailable, match="it is still starting"):
        RemoteQuarantineService(Holder("7", ""), {})
    service = RemoteQuarantineService(Holder("7", f"http://127.0.0.1:{free_port()}"), {})
    with pytest.raises(DatabaseUnavailable, match="could not ask the engine of process 7"):
        service.page({})
