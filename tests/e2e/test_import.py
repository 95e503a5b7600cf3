"""Each receipt of an imported file counts once, even if the import is interrupted or repeated."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zstandard

from tests.support.numbered_receipts import (
    MANY_RECEIPTS,
    PER_STORE,
    imported_receipts,
    ndjson,
    ndjson_file,
    numbered_receipt,
    revenue,
)
from tests.support.processes import (
    TILLSTREAM,
    Command,
    RunningTillstream,
    integers_in,
    run_check,
    run_command,
    running_command,
    running_tillstream,
)
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("import") / "data"


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[RunningTillstream]:
    """A tillstream for all tests. Each test uses its own day."""
    with running_tillstream(data, "--store-limit-receipts-per-s", PER_STORE) as started:
        yield started


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def run_import(running: RunningTillstream, state: Path, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """Run an import that ends with this exit code, and return the report of each file."""
    report = state.with_name("report.json")
    report.unlink(missing_ok=True)
    ended, output = run_command("import", *arguments, "--to", running.ingest, "--state", state, "--report", report)
    assert ended == code, output
    files: list[dict[str, Any]] = json.loads(report.read_bytes())["files"]
    return files


def test_receipts_of_files_of_every_kind_and_of_standard_input_count_once_and_to_the_cent(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str, data: Path
) -> None:
    folder = tmp_path / "exports"
    (folder / "older").mkdir(parents=True)
    ndjson_file(folder / "one.ndjson", range(1_500), day)
    (folder / "two.json").write_text(
        json.dumps([numbered_receipt(number, day) for number in range(1_500, 1_600)], indent=2)
    )
    (folder / "three.ndjson.gz").write_bytes(gzip.compress(ndjson(range(1_600, 1_700), day)))
    (folder / "older" / "four").write_bytes(zstandard.compress(ndjson(range(1_700, 1_750), day)))
    (folder / "five.ndjson.part").write_bytes(ndjson(range(9_000, 9_100), day))

    assert sum(each["receipts"] for each in run_import(running, state, folder)) == 1_750

    piped = subprocess.run(
        [*TILLSTREAM, "import", "-", "--to", running.ingest],
        input=ndjson(range(1_750, 2_000), day),
        capture_output=True,
    )
    assert (piped.returncode, 250 in integers_in(piped.stdout.decode())) == (0, True), piped
    summary = running.wait_for_receipts(2_000, day)
    assert summary["revenue"] == revenue(2_000)
    (receipt, *_) = running.get(f"/api/v1/receipts?day={day}&limit=1").json()["receipts"]
    assert receipt["receipt"] == "1999"
    assert run_check(data).receipts >= 2_000


def test_an_imported_file_is_skipped_by_default_and_its_receipts_count_once_if_it_is_repeated(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str
) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(300), day)
    before = running.summary()["duplicates"]
    assert isinstance(before, int)
    run_import(running, state, file)

    for directory, options, already in (
        (state, (), True),
        (state, ("--restart",), False),
        (tmp_path / "other state", (), False),
    ):
        [file_report] = run_import(running, directory, file, *options)
        assert file_report["already"] is already

    wait_until(lambda: running.summary()["duplicates"] == before + 600, "600 duplicates are counted")
    assert running.summary(day)["receipts"] == 300


def test_faults_are_reported_with_their_location_and_quarantined_without_stopping_the_import(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str
) -> None:
    file = tmp_path / "mixed.ndjson"
    wrong = json.dumps(numbered_receipt(7, day, documentTotal={"grossTotal": "abc"})).encode()
    file.write_bytes(ndjson(range(3), day) + b'{"storeID": \n' + wrong + b"\n" + ndjson(range(3, 5), day))

    [file_report] = run_import(running, state, file, code=1)

    assert (file_report["receipts"], file_report["refused"], file_report["finished"]) == (5, 2, True)
    assert [(fault["index"], fault["where"]) for fault in file_report["faults"]] == [(3, "record 4"), (4, "record 5")]
    assert file_report["faults"][1]["errors"][0]["path"] == "$.documentTotal.grossTotal"
    running.wait_for_receipts(5, day)

    def sources() -> list[str]:
        return [each["source"] for each in running.quarantine()]

    wait_until(lambda: sources() == ["json/import"] * 2, "the faults are in quarantine")


def test_a_killed_import_resumes_at_its_checkpoint(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str
) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(MANY_RECEIPTS), day)
    with running_command("import", file, "--to", running.ingest, "--state", state) as killed:
        checkpoint = wait_until(lambda: imported_receipts(state), "the import has a checkpoint")
        killed.process.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL
    assert 0 < checkpoint < MANY_RECEIPTS

    [file_report] = run_import(running, state, file)

    assert file_report["resumed_at"] >= checkpoint
    assert running.wait_for_receipts(MANY_RECEIPTS, day)["revenue"] == revenue(MANY_RECEIPTS)


def test_ctrl_c_ends_the_import_with_a_line_on_how_to_resume(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str
) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(MANY_RECEIPTS), day)
    report = tmp_path / "report.json"
    with running_command("import", file, "--to", running.ingest, "--state", state, "--report", report) as stopped:
        wait_until(lambda: imported_receipts(state), "the import has a checkpoint")
        assert stopped.stop(signal.SIGINT) == 130, stopped.output
        output = stopped.output.splitlines()
    assert "Traceback" not in stopped.output
    assert output
    assert json.loads(report.read_bytes())["interrupted"] is True

    [file_report] = run_import(running, state, file)
    assert file_report["resumed_at"] > 0
    running.wait_for_receipts(MANY_RECEIPTS, day)


def test_given_an_ingest_that_restarts_then_every_receipt_counts_once(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str
) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(MANY_RECEIPTS), day)
    with running_command("import", file, "--to", running.ingest, "--state", state) as command:
        wait_until(lambda: imported_receipts(state), "the import has a checkpoint")
        running.command.child("ingest").kill()
        assert command.wait(60) == 0, command.output
    assert running.wait_for_receipts(MANY_RECEIPTS, day)["revenue"] == revenue(MANY_RECEIPTS)


def test_given_an_unreachable_ingest_then_the_import_reports_it_and_ends(state: Path, tmp_path: Path, day: str) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(3), day)
    code, output = run_command("import", file, "--to", "http://127.0.0.1:9", "--state", state, "--give-up", 3)
    assert code == 2
    waiting, last = output.splitlines()
    assert "http://127.0.0.1:9/receipts" in waiting
    assert "http://127.0.0.1:9/receipts" in last
    assert "tillstream up" in last


def test_a_dry_run_reports_counts_and_totals_and_sends_nothing(tmp_path: Path, day: str) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(1_001), day)
    code, output = run_command(
        "import", file, "--dry-run", "--to", "http://127.0.0.1:9", XDG_STATE_HOME=str(tmp_path / "state")
    )
    assert code == 0
    assert 1_001 in integers_in(output)
    assert f"{revenue(1_001)} EUR" in output
    assert not (tmp_path / "state").exists()


def test_ctrl_c_ends_an_import_that_waits_for_a_pipe(running: RunningTillstream) -> None:
    process = subprocess.Popen([*TILLSTREAM, "import", "-", "--to", running.ingest], stdin=subprocess.PIPE)
    try:
        assert process.stdin is not None
        process.stdin.write(ndjson(range(3)))
        process.stdin.flush()
        wait_until(lambda: psutil.Process(process.pid).num_threads() > 1, "the import reads the pipe in a thread")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.communicate()


def test_the_running_ingest_of_the_data_directory_is_found(
    running: RunningTillstream, state: Path, tmp_path: Path, day: str, data: Path
) -> None:
    file = ndjson_file(tmp_path / "day.ndjson", range(10), day)
    with Command("import", file, "--data", data, "--state", state).process as process:
        assert process.wait(30) == 0
    running.wait_for_receipts(10, day)
