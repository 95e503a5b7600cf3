"""A file is sent once, resumed after an interruption, or only validated; one that fails does not stop the others."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file, numbered_receipt
from tests.support.scripted_ingest import SILENCE, scripted_ingest
from tillstream.clock import SystemClock
from tillstream.config.settings import Settings
from tillstream.errors import OperationalError
from tillstream.formats import registry
from tillstream.importing import batches
from tillstream.importing import importer as module
from tillstream.importing.batches import Batch
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.console import ProgressDisplay, Summary
from tillstream.importing.importer import Importer, ImportRun, Transfer, dry_run, run_in_thread
from tillstream.importing.report import Outcome
from tillstream.importing.source_file import CannotRead, UnknownFormat, open_file
from tillstream.importing.uploader import Destination, Uploader

SETTINGS = Settings()


def send(
    url: str,
    path: Path,
    checkpoint: Checkpoint,
    *,
    stop_after: int | None = None,
    cut: Callable[..., Iterator[Batch]] = batches.batches,
) -> bool:
    """Whether the transfer was complete. It is stopped after `stop_after` items."""

    async def main() -> bool:
        stop = asyncio.Event()

        def show(checkpoint: Checkpoint, position: int) -> None:
            if stop_after is not None and (checkpoint.counts.done >= stop_after or (position and not stop_after)):
                stop.set()

        uploader = Uploader(Destination(url), Random(1), stop, give_up_s=10, notify=print)
        try:
            with closing(open_file(path, registry.load(SETTINGS))) as file:
                return await Transfer(
                    file,
                    checkpoint,
                    uploader,
                    cut(file, SETTINGS, SystemClock(), "import", checkpoint.counts.done),
                    SystemClock(),
                    show,
                ).run()
        finally:
            uploader.close()

    return asyncio.run(main())


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Checkpoint]:
    with closing(Checkpoint(tmp_path / "state", "key")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "RECEIPTS_LIMIT", 10)


def test_every_item_is_acknowledged_and_faults_have_their_location(
    ingest: Ingest, url: str, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(35)) + b'{"storeID": 1}\n{"broken\n' + ndjson(range(35, 40)))
    assert send(url, path, checkpoint)
    counts = checkpoint.counts
    assert (counts.done, counts.receipts, counts.refused) == (42, 40, 2)
    assert [(each.index, each.where) for each in checkpoint.refusals()] == [(35, "record 36"), (36, "record 37")]
    kinds = [record["kind"] for record in ingest.records()]
    assert (kinds.count("receipt"), kinds.count("refusal")) == (40, 2)
    assert {record["original"] for record in ingest.records() if record["kind"] == "refusal"} == {
        b'{"storeID": 1}',
        b'{"broken',
    }


def test_a_stopped_transfer_resumes_where_it_stopped(
    ingest: Ingest, url: str, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = ndjson_file(tmp_path / "a.ndjson", range(300))
    assert not send(url, path, checkpoint, stop_after=20)
    checkpoint.close()
    sent = len(ingest.records())
    assert 20 <= sent < 300

    with closing(Checkpoint(tmp_path / "state", "key")) as again:
        assert again.counts.done == again.counts.receipts == sent
        assert send(url, path, again)
        assert (again.counts.done, again.counts.receipts) == (300, 300)
    assert len(ingest.records()) == 300


def test_batches_after_one_without_a_response_do_not_count_as_done(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DRAIN_US", 100_000)
    path = ndjson_file(tmp_path / "a.ndjson", range(40))
    accepted = '202 - {"accepted":10}'
    with scripted_ingest(SILENCE, accepted, accepted, accepted) as ingest:
        assert not send(ingest.url, path, checkpoint, stop_after=0)
    assert checkpoint.counts.done == 0


def test_a_read_error_in_the_middle_of_a_file_is_raised(
    ingest: Ingest, url: str, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    def broken(*_: object) -> Iterator[Batch]:
        yield from real[:1]
        raise OSError(5, "Input/output error")

    path = ndjson_file(tmp_path / "a.ndjson", range(10))
    with closing(open_file(path, registry.load(SETTINGS))) as file:
        real = [batch for batch in batches.batches(file, SETTINGS, SystemClock(), "import") if batch.lines]
    with pytest.raises(
        CannotRead, match="Input/output error; solve the problem and import it again; the import continues"
    ):
        send(url, path, checkpoint, cut=broken)


def test_the_checkpoint_is_saved_during_the_transfer(
    ingest: Ingest, url: str, tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_US", 0)
    saved: list[int] = []
    save = Checkpoint.save

    def note(self: Checkpoint) -> None:
        save(self)
        (state,) = (tmp_path / "state").glob("*.json")
        saved.append(json.loads(state.read_bytes())["done"])

    monkeypatch.setattr(Checkpoint, "save", note)
    assert send(url, ndjson_file(tmp_path / "a.ndjson", range(50)), checkpoint)
    assert saved == sorted(saved)
    assert {0, 50} < set(saved)


def import_file(
    importer: Importer, path: Path, url: str, refusals: list[Refusal] | None = None, *, stopped: bool = False
) -> Outcome:
    async def main() -> Outcome:
        stop = asyncio.Event()
        if stopped:
            stop.set()

        def done(_: Outcome, checkpoint: Checkpoint) -> None:
            if refusals is not None:
                refusals.extend(checkpoint.refusals())

        uploader = Uploader(Destination(url), Random(1), stop, give_up_s=10, notify=print)
        try:
            return await importer.import_file(path, uploader, lambda _checkpoint, _position: None, done)
        finally:
            uploader.close()

    return asyncio.run(main())


def test_a_file_is_sent_once_unless_it_or_the_log_changes(
    ingest: Ingest, url: str, importer: Callable[..., Importer], tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(5)) + b"{}\n")
    first, again = import_file(importer(), path, url), import_file(importer(), path, url)
    assert (first.receipts, first.refused, first.finished, first.already) == (5, 1, True, False)
    assert (again.receipts, again.refused, again.finished, again.already) == (5, 1, True, True)
    refusals: list[Refusal] = []
    import_file(importer(), path, url, refusals)
    assert [refusal.index for refusal in refusals] == [5]
    assert len(ingest.records()) == 6

    assert not import_file(importer(restart=True), path, url).already
    assert not import_file(importer(log_id="another log"), path, url).already
    ndjson_file(path, range(6))
    assert import_file(importer(), path, url).receipts == 6
    assert len(ingest.records()) == 24


def test_a_pipe_is_always_sent_and_stores_no_progress(
    ingest: Ingest, url: str, importer: Callable[..., Importer], tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.write(writing, ndjson(range(3)))
    os.close(writing)
    assert import_file(importer(), Path(f"/dev/fd/{reading}"), url).receipts == 3
    os.close(reading)
    assert not (tmp_path / "state").exists()


def test_a_stopped_import_sends_nothing(
    ingest: Ingest, url: str, importer: Callable[..., Importer], tmp_path: Path
) -> None:
    outcome = import_file(importer(), ndjson_file(tmp_path / "a.ndjson", range(3)), url, stopped=True)
    assert (outcome.finished, outcome.receipts) == (False, 0)


def test_an_unknown_format_is_raised(url: str, importer: Callable[..., Importer], tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"who knows")
    with pytest.raises(UnknownFormat):
        import_file(importer(), tmp_path / "a.xyz", url)


def validated(tmp_path: Path, content: bytes, **settings: Any) -> tuple[Outcome, list[Refusal]]:
    values = Settings(**settings)
    path = tmp_path / "a.ndjson"
    path.write_bytes(content)
    with (
        closing(open_file(path, registry.load(values))) as file,
        closing(Checkpoint(tmp_path / "state", "dry run")) as checkpoint,
    ):
        outcome = dry_run(file, checkpoint, values, SystemClock(), lambda _checkpoint, _position: None)
        return outcome, list(checkpoint.refusals())


def total(tmp_path: Path, *amounts: str, **settings: Any) -> str | None:
    lines = (
        json.dumps(numbered_receipt(number, documentTotal={"grossTotal": "@"})) for number, _ in enumerate(amounts)
    )
    content = "\n".join(line.replace('"@"', amount) for line, amount in zip(lines, amounts, strict=True))
    return validated(tmp_path, content.encode(), **settings)[0].total


def test_a_dry_run_counts_receipts_and_locates_faults(tmp_path: Path) -> None:
    content = ndjson(range(3)) + b'{"storeID": 1}\n' + b"x" * 2_000 + b"\n"
    outcome, refusals = validated(tmp_path, content, receipt_limit_bytes=1_000)
    assert (outcome.receipts, outcome.refused, outcome.total, outcome.finished) == (3, 2, "7.50 EUR", True)
    assert [(refusal.index, refusal.where) for refusal in refusals] == [(3, "record 4"), (4, "line 5")]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (("1.1", "2.2", "-0.3"), "3.00 EUR"),
        (('"0.3"', '" 1e2"', "1e2"), "200.30 EUR"),
        (("3.3600000000000003", "0.345", "-0.345"), "3.36 EUR"),
        (("9999999999999.99", "0.01"), "10000000000000.00 EUR"),
        ((), "0.00 EUR"),
    ],
)
def test_the_total_is_exact_whatever_the_amounts_look_like(
    tmp_path: Path, amounts: tuple[str, ...], expected: str
) -> None:
    assert total(tmp_path, *amounts) == expected


def test_the_total_is_in_the_chains_currency(tmp_path: Path) -> None:
    assert total(tmp_path, "250", "1.5", currency="JPY") == "252 JPY"


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "b.xyz").write_bytes(b"who knows")
    return [
        ndjson_file(tmp_path / "a.ndjson", range(3)),
        tmp_path / "b.xyz",
        ndjson_file(tmp_path / "c.ndjson", range(3, 7)),
    ]


def run_all(run: ImportRun) -> tuple[bool, Summary]:
    summary = Summary()
    with ProgressDisplay(SystemClock(), None, quiet=True) as display:
        return run.run(display, summary), summary


def test_a_file_of_unknown_format_does_not_stop_the_others(
    ingest: Ingest, url: str, importer: Callable[..., Importer], paths: list[Path], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    complete, summary = run_all(ImportRun(paths, importer(), Destination(url), 10, report))
    assert (complete, summary.receipts, summary.files, summary.problems) == (True, 7, 3, 1)
    report_json = json.loads(report.read_bytes())
    assert [(each["receipts"], bool(each["problem"])) for each in report_json["files"]] == [
        (3, False),
        (0, True),
        (4, False),
    ]
    assert report_json["interrupted"] is False
    assert len(ingest.records()) == 7


def test_a_name_that_is_not_utf_8_can_be_reported(
    ingest: Ingest, url: str, importer: Callable[..., Importer], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    paths = [ndjson_file(tmp_path / os.fsdecode(b"caf\xe9.ndjson"), range(3)), tmp_path / os.fsdecode(b"\xe9.xyz")]
    paths[1].write_bytes(b"who knows")
    complete, summary = run_all(ImportRun(paths, importer(), Destination(url), 10, report))
    summary.show(dry_run=False)
    assert (complete, summary.receipts, summary.problems) == (True, 3, 1)
    report_json = json.loads(report.read_bytes())
    assert [each["file"] for each in report_json["files"]] == [f"{tmp_path}/caf\\xe9.ndjson", f"{tmp_path}/\\xe9.xyz"]


def test_a_dry_run_sends_nothing(ingest: Ingest, importer: Callable[..., Importer], paths: list[Path]) -> None:
    complete, summary = run_all(ImportRun(paths, importer(), None, 10, None))
    assert (complete, summary.receipts, summary.problems) == (True, 7, 1)
    assert ingest.records() == []


def test_an_error_leaves_a_report_on_the_files_before_it(
    importer: Callable[..., Importer], paths: list[Path], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    with scripted_ingest('202 - {"accepted":3}', "404 - x") as ingest, pytest.raises(OperationalError, match="404"):
        run_all(ImportRun(paths, importer(), Destination(ingest.url), 10, report))
    report_json = json.loads(report.read_bytes())
    assert ([each["receipts"] for each in report_json["files"]], report_json["interrupted"]) == ([3, 0], True)


def test_the_result_or_error_of_the_work_is_refailed() -> None:
    async def main() -> None:
        assert await run_in_thread(lambda: 7, asyncio.Event(), lambda: None) == 7
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(lambda: 1 // 0, asyncio.Event(), lambda: None)

    asyncio.run(main())


def test_work_that_never_ends_is_abandoned_after_a_stop() -> None:
    gate = Event()

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_soon(stop.set)
        assert await run_in_thread(gate.wait, stop, lambda: None) is None

    asyncio.run(main())
    gate.set()


def test_an_error_in_the_tick_ends_the_wait() -> None:
    gate = Event()

    def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await run_in_thread(gate.wait, asyncio.Event(), fail)

    asyncio.run(main())
    gate.set()
