"""`up` imports each file in its inbox once, moves it, and writes a report."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.numbered_receipts import MANY_RECEIPTS, PER_STORE, ndjson, ndjson_file, revenue
from tests.support.processes import RunningTillstream, run_check, running_command, running_tillstream
from tests.support.waiting import wait_until

SETTLED_S = 1.8


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inbox") / "in"


@pytest.fixture(scope="module")
def chain(inbox: Path) -> Iterator[RunningTillstream]:
    """A tillstream for all tests. Each test uses its own day and file names."""
    with running_tillstream(
        inbox.parent / "data", "--inbox", inbox, "--store-limit-receipts-per-s", PER_STORE
    ) as running_up:
        wait_until((inbox / "failed").is_dir, "the inbox exists")
        yield running_up


def put(inbox: Path, name: str, content: bytes) -> None:
    """Write a file atomically, as a till should."""
    fresh = inbox / f".{name}"
    fresh.write_bytes(content)
    fresh.rename(inbox / name)


def report_of(inbox: Path, target: str) -> dict[str, Any]:
    """The report of a moved file."""
    wait_until((inbox / target).exists, f"{target} is filed away")
    report: dict[str, Any] = json.loads((inbox / f"{target}.report.json").read_bytes())
    return report


def test_files_are_imported_moved_and_reported(chain: RunningTillstream, inbox: Path, day: str) -> None:
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
    assert chain.wait_for_receipts(110, day)["revenue"] == revenue(110)
    entries = wait_until(
        lambda: chain.get("/api/v1/quarantine").json()["entries"], "the rejected receipts are in quarantine"
    )
    assert {entry["source"] for entry in entries} == {"json/inbox"}
    assert (inbox / "later.ndjson.part").exists()
    assert list((inbox / ".tillstream").iterdir()) == []


def test_a_file_with_an_existing_name_gets_a_number(chain: RunningTillstream, inbox: Path, day: str) -> None:
    put(inbox, "day.ndjson", ndjson(range(5), day))
    report_of(inbox, "done/day.ndjson")
    put(inbox, "day.ndjson", ndjson(range(5, 9), day))
    assert report_of(inbox, "done/day (2).ndjson")["receipts"] == 4
    chain.wait_for_receipts(9, day)


def test_a_file_that_is_still_written_waits_until_it_is_complete(
    chain: RunningTillstream, inbox: Path, day: str
) -> None:
    lines = ndjson(range(6), day).splitlines(keepends=True)
    # A machine that stands still for two seconds is a writer that has ended: then it is tried again.
    name = next(
        name for name in ("slow.ndjson", "slow too.ndjson", "slowest.ndjson") if _steady(chain, inbox / name, lines)
    )
    assert report_of(inbox, f"done/{name}")["receipts"] == 6
    chain.wait_for_receipts(6, day)


def _steady(chain: RunningTillstream, path: Path, lines: list[bytes]) -> bool:
    """Write line by line, a look of the inbox between two; whether no pause was long enough to be the end."""
    longest_s = 0.0
    with path.open("wb", buffering=0) as file:
        for line in lines:
            written_s = time.monotonic()
            file.write(line)
            seen = _looks(chain)
            wait_until(lambda seen=seen: _looks(chain) > seen, "the inbox looked")  # type: ignore[misc]
            longest_s = max(longest_s, time.monotonic() - written_s)
            assert longest_s > SETTLED_S or path.exists()
    return longest_s < SETTLED_S


def _looks(chain: RunningTillstream) -> int:
    """Times that the inbox's process went to sleep by itself: once a look at least."""
    return chain.command.child("inbox").num_ctx_switches().voluntary


@pytest.mark.parametrize("part", ["inbox", "ingest"])
def test_a_process_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    chain: RunningTillstream, inbox: Path, day: str, part: str
) -> None:
    put(inbox, f"{part}.ndjson", ndjson(range(MANY_RECEIPTS), day))
    wait_until(lambda: _done(inbox), "some of it is taken")
    chain.command.child(part).kill()

    assert report_of(inbox, f"done/{part}.ndjson")["receipts"] == MANY_RECEIPTS
    assert chain.wait_for_receipts(MANY_RECEIPTS, day)["revenue"] == revenue(MANY_RECEIPTS)
    assert run_check(inbox.parent / "data").receipts >= MANY_RECEIPTS


def _done(inbox: Path) -> int:
    for file in (inbox / ".tillstream").glob("*.json"):
        return int(json.loads(file.read_bytes())["done"])
    return 0


def test_the_verb_waits_for_ingest_says_so_once_and_ends_at_a_signal(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    with running_command("inbox", folder, "--to", "http://127.0.0.1:9") as command:
        wait_until((folder / "done").is_dir, "the inbox exists")
        ndjson_file(folder / "day.ndjson", range(3))
        command.wait_for_output("127.0.0.1:9")
        assert command.stop() == 0
    assert command.output.count("127.0.0.1:9") == 1
    assert (folder / "day.ndjson").exists()


def test_a_missing_folder_is_told_once_and_waited_for(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    with running_command("inbox", drive / "in", "--to", "http://127.0.0.1:9", "--log-format", "json") as command:
        command.wait_for_output(re.escape(str(drive / "in")))
        drive.mkdir()
        wait_until((drive / "in" / "done").is_dir, "the inbox exists")
        assert command.stop() == 0
    assert [entry["level"] for entry in command.log_entries() if entry["level"] != "info"] == ["warning"]
