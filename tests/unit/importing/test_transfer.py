"""Given a file, a ledger and ingest; when the file is sent; then the ledger has what was acknowledged, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file
from tests.support.scripted_ingest import SILENCE, scripted_ingest
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.formats import registry
from tillstream.importing import batches, transfer
from tillstream.importing.checkpoint import Checkpoint
from tillstream.importing.destination import Destination
from tillstream.importing.source_file import CannotRead, open_file
from tillstream.importing.transfer import Transfer
from tillstream.importing.uploader import Uploader

SETTINGS = Settings()


def send(url: str, path: Path, ledger: Checkpoint, *, stop_after: int | None = None) -> bool:
    """Whether it went to its end; `stop_after` so many items it is told to stop."""

    async def main() -> bool:
        stop = asyncio.Event()

        def show(ledger: Checkpoint, position: int) -> None:
            if stop_after is not None and (ledger.counts.done >= stop_after or (position and not stop_after)):
                stop.set()

        courier = Uploader(Destination(url), Random(1), stop, give_up_s=10, tell=print)
        try:
            with closing(open_file(path, registry.load(SETTINGS))) as file:
                return await Transfer(file, ledger, courier, SETTINGS, SystemClock(), "import").run(show)
        finally:
            await courier.close()

    return asyncio.run(main())


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Checkpoint]:
    with closing(Checkpoint(tmp_path / "state", "key")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "RECEIPTS", 10)


def test_everything_is_acknowledged_and_faults_have_their_places(
    ingest: Ingest, url: str, tmp_path: Path, ledger: Checkpoint
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(35)) + b'{"storeID": 1}\n{"broken\n' + ndjson(range(35, 40)))
    assert send(url, path, ledger)
    counts = ledger.counts
    assert (counts.done, counts.receipts, counts.refused) == (42, 40, 2)
    assert [(each.index, each.where) for each in ledger.refusals()] == [(35, "record 36"), (36, "record 37")]
    kinds = [record["kind"] for record in ingest.records()]
    assert (kinds.count("receipt"), kinds.count("refusal")) == (40, 2)
    assert {record["original"] for record in ingest.records() if record["kind"] == "refusal"} == {
        b'{"storeID": 1}',
        b'{"broken',
    }


def test_stopped_it_goes_on_where_it_was(ingest: Ingest, url: str, tmp_path: Path, ledger: Checkpoint) -> None:
    path = ndjson_file(tmp_path / "a.ndjson", range(300))
    assert not send(url, path, ledger, stop_after=20)
    ledger.close()
    sent = len(ingest.records())
    assert 20 <= sent < 300

    with closing(Checkpoint(tmp_path / "state", "key")) as again:
        assert again.counts.done == again.counts.receipts == sent
        assert send(url, path, again)
        assert (again.counts.done, again.counts.receipts) == (300, 300)
    assert len(ingest.records()) == 300


def test_nothing_behind_a_batch_without_an_answer_counts_as_done(
    tmp_path: Path, ledger: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "DRAIN_US", 100_000)
    path = ndjson_file(tmp_path / "a.ndjson", range(40))
    taken = '202 - {"accepted":10}'
    with scripted_ingest(SILENCE, taken, taken, taken) as ingest:
        assert not send(ingest.url, path, ledger, stop_after=0)
    assert ledger.counts.done == 0


def test_a_file_that_cannot_be_read_on_is_told_with_what_came_before(
    ingest: Ingest, url: str, tmp_path: Path, ledger: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        yield from real[:1]
        raise OSError(5, "Input/output error")

    path = ndjson_file(tmp_path / "a.ndjson", range(10))
    with closing(open_file(path, registry.load(SETTINGS))) as file:
        real = [batch for batch in batches.batches(file, SETTINGS, SystemClock(), "import") if batch.lines]
    monkeypatch.setattr(transfer, "batches", broken)
    with pytest.raises(CannotRead, match="Input/output error; mend that, and import it again: it goes on"):
        send(url, path, ledger)


def test_the_ledger_is_saved_now_and_then(
    ingest: Ingest, url: str, tmp_path: Path, ledger: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "SAVE_US", 0)
    saved: list[int] = []
    save = Checkpoint.save

    def note(self: Checkpoint) -> None:
        save(self)
        (state,) = (tmp_path / "state").glob("*.json")
        saved.append(json.loads(state.read_bytes())["done"])

    monkeypatch.setattr(Checkpoint, "save", note)
    assert send(url, ndjson_file(tmp_path / "a.ndjson", range(50)), ledger)
    assert saved == sorted(saved)
    assert {0, 50} < set(saved)
