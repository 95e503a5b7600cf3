"""`up` imports each file in its inbox once, moves it, and writes a report."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.numbered_receipts import MANY_RECEIPTS, PER_STORE, imported_receipts, ndjson, ndjson_file, revenue
from tests.support.processes import RunningTillstream, run_check, running_command, running_tillstream
from tests.support.waiting import wait_until

WRITING_PAUSE_LIMIT_S = 1.8
"""The maximum pause of the writer. The inbox imports a file after two seconds without a change."""


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inbox") / "in"


@pytest.fixture(scope="module")
def running(inbox: Path) -> Iterator[RunningTillstream]:
    """A tillstream for all tests. Each test uses its own day and file names."""
    with running_tillstream(
        inbox.parent / "data", "--inbox", inbox, "--store-limit-receipts-per-s", PER_STORE
    ) as started:
        wait_until((inbox / "failed").is_dir, "the inbox exists")
        yield started


def put(inbox: Path, name: str, content: bytes) -> None:
    """Write a file atomically, as a till should."""
    temporary = inbox / f".{name}"
    temporary.write_bytes(content)
    temporary.rename(inbox / name)


def report_of(inbox: Path, target: str) -> dict[str, Any]:
    """The report of a file, after it has been moved to `target`."""
    wait_until((inbox / target).exists, f"the file is moved to {target}")
    report: dict[str, Any] = json.loads((inbox / f"{target}.report.json").read_bytes())
    return report


def test_files_are_imported_moved_and_reported(running: RunningTillstream, inbox: Path, day: str) -> None:
    put(inbox, "good.ndjson", ndjson(range(100), day))
    put(inbox, "partly.ndjson", b'{"storeID": 1}\n' + ndjson(range(100, 110), day))
    put(inbox, "bad.ndjson", b'{"storeID": 1}\n{"storeID": 2}\n')
    put(inbox, "strange.xyz", b"who knows")
    (inbox / "later.ndjson.part").write_bytes(ndjson(range(900, 910), day))

    assert report_of(inbox, "done/good.ndjson")["receipts"] == 100
    partly = report_of(inbox, "done/partly.ndjson")
    assert (partly["receipts"], partly["refused"]) == (10, 1)
    (fault,) = partly["faults"]
    assert (fault["index"], fault["errors"][0]["path"]) == (0, "$.cashReceiptID")
    assert report_of(inbox, "failed/bad.ndjson")["refused"] == 2
    assert [partly["problem"], bool(report_of(inbox, "failed/strange.xyz")["problem"])] == ["", True]
    assert running.wait_for_receipts(110, day)["revenue"] == revenue(110)
    entries = wait_until(running.quarantine, "the rejected receipts are in quarantine")
    assert {entry["source"] for entry in entries} == {"json/inbox"}
    assert (inbox / "later.ndjson.part").exists()
    assert list((inbox / ".tillstream").iterdir()) == []


def test_a_file_with_an_existing_name_gets_a_number(running: RunningTillstream, inbox: Path, day: str) -> None:
    put(inbox, "day.ndjson", ndjson(range(5), day))
    report_of(inbox, "done/day.ndjson")
    put(inbox, "day.ndjson", ndjson(range(5, 9), day))
    assert report_of(inbox, "done/day (2).ndjson")["receipts"] == 4
    running.wait_for_receipts(9, day)


def test_a_file_that_is_still_written_waits_until_it_is_complete(
    running: RunningTillstream, inbox: Path, day: str
) -> None:
    lines = ndjson(range(6), day).splitlines(keepends=True)
    # A pause of two seconds looks like a complete file. If the machine is that slow, the test repeats with another file.
    name = next(
        name
        for name in ("slow 1.ndjson", "slow 2.ndjson", "slow 3.ndjson")
        if _write_slowly(running, inbox / name, lines)
    )
    assert report_of(inbox, f"done/{name}")["receipts"] == 6
    running.wait_for_receipts(6, day)


def _write_slowly(running: RunningTillstream, path: Path, lines: list[bytes]) -> bool:
    """Write the lines, and let the inbox scan after each of them. Return whether all pauses were short enough."""
    longest_s = 0.0
    with path.open("wb", buffering=0) as file:
        for line in lines:
            written_s = time.monotonic()
            file.write(line)
            before = _sleeps(running)
            wait_until(lambda before=before: _sleeps(running) > before, "the inbox has scanned")  # type: ignore[misc]
            longest_s = max(longest_s, time.monotonic() - written_s)
            assert longest_s > WRITING_PAUSE_LIMIT_S or path.exists()
    return longest_s < WRITING_PAUSE_LIMIT_S


def _sleeps(running: RunningTillstream) -> int:
    """How often the inbox process has slept. It sleeps after each scan of the folder."""
    return running.command.child("inbox").num_ctx_switches().voluntary


@pytest.mark.parametrize("part", ["inbox", "ingest"])
def test_given_a_process_that_is_killed_during_an_import_then_every_receipt_counts_once(
    running: RunningTillstream, inbox: Path, day: str, part: str
) -> None:
    put(inbox, f"{part}.ndjson", ndjson(range(MANY_RECEIPTS), day))
    wait_until(lambda: imported_receipts(inbox / ".tillstream"), "the import has a checkpoint")
    running.command.child(part).kill()

    assert report_of(inbox, f"done/{part}.ndjson")["receipts"] == MANY_RECEIPTS
    assert running.wait_for_receipts(MANY_RECEIPTS, day)["revenue"] == revenue(MANY_RECEIPTS)
    assert run_check(inbox.parent / "data").receipts >= MANY_RECEIPTS


def test_the_verb_waits_for_ingest_reports_that_once_and_ends_at_a_signal(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    with running_command("inbox", folder, "--to", "http://127.0.0.1:9") as command:
        wait_until((folder / "done").is_dir, "the inbox exists")
        ndjson_file(folder / "day.ndjson", range(3))
        command.wait_for_output("127.0.0.1:9")
        assert command.stop() == 0
    assert command.output.count("127.0.0.1:9") == 1
    assert (folder / "day.ndjson").exists()


def test_given_a_missing_folder_then_the_verb_reports_it_once_and_waits_for_it(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    with running_command("inbox", drive / "in", "--to", "http://127.0.0.1:9", "--log-format", "json") as command:
        command.wait_for_output(re.escape(str(drive / "in")))
        drive.mkdir()
        wait_until((drive / "in" / "done").is_dir, "the inbox exists")
        assert command.stop() == 0
    assert [entry["level"] for entry in command.log_entries() if entry["level"] != "info"] == ["warning"]
