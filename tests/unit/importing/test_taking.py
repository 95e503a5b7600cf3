"""Given a file and ingest; when it is taken once, again or anew; then only what ingest doesn't have is sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.inprocess.ingest import Ingest
from tests.support.numbered_receipts import ndjson, ndjson_file
from tillstream.importing.checkpoint import Checkpoint, Refusal
from tillstream.importing.destination import Destination
from tillstream.importing.outcome import Outcome
from tillstream.importing.source_file import UnknownFormat
from tillstream.importing.taking import Taker
from tillstream.importing.uploader import Uploader


def take(
    taker: Taker, path: Path, url: str, refusals: list[Refusal] | None = None, *, stopped: bool = False
) -> Outcome:
    async def main() -> Outcome:
        stop = asyncio.Event()
        if stopped:
            stop.set()

        def done(_: Outcome, ledger: Checkpoint) -> None:
            if refusals is not None:
                refusals.extend(ledger.refusals())

        courier = Uploader(Destination(url), Random(1), stop, give_up_s=10, tell=print)
        try:
            return await taker.take(path, courier, lambda _ledger, _position: None, done)
        finally:
            await courier.close()

    return asyncio.run(main())


def test_a_file_is_sent_once_and_known_from_then_on(
    ingest: Ingest, url: str, taker: Callable[..., Taker], tmp_path: Path
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(ndjson(range(5)) + b"{}\n")
    first, again = take(taker(), path, url), take(taker(), path, url)
    assert (first.receipts, first.refused, first.finished, first.already) == (5, 1, True, False)
    assert (again.receipts, again.refused, again.finished, again.already) == (5, 1, True, True)
    refusals: list[Refusal] = []
    take(taker(), path, url, refusals)
    assert [refusal.index for refusal in refusals] == [5]
    assert len(ingest.records()) == 6

    assert not take(taker(restart=True), path, url).already
    assert not take(taker(mark="another log"), path, url).already
    ndjson_file(path, range(6))
    assert take(taker(), path, url).receipts == 6
    assert len(ingest.records()) == 24


def test_a_pipe_is_sent_each_time_and_leaves_nothing(
    ingest: Ingest, url: str, taker: Callable[..., Taker], tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.write(writing, ndjson(range(3)))
    os.close(writing)
    assert take(taker(), Path(f"/dev/fd/{reading}"), url).receipts == 3
    os.close(reading)
    assert not (tmp_path / "state").exists()


def test_told_to_stop_it_takes_nothing(ingest: Ingest, url: str, taker: Callable[..., Taker], tmp_path: Path) -> None:
    outcome = take(taker(), ndjson_file(tmp_path / "a.ndjson", range(3)), url, stopped=True)
    assert (outcome.finished, outcome.receipts) == (False, 0)


def test_an_unknown_format_is_raised(url: str, taker: Callable[..., Taker], tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(b"who knows")
    with pytest.raises(UnknownFormat):
        take(taker(), tmp_path / "a.xyz", url)
