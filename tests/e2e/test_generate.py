"""`generate` sends receipts. Each counts once, even if ingest is killed in between."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.decimal_receipts import euros, gross_cents, parse_receipt
from tests.support.ingest import accepted_receipts
from tests.support.processes import run_check, run_command, running_command, running_tillstream
from tests.support.scripted_ingest import scripted_ingest
from tests.support.waiting import wait_until

COUNT = 15_000
DAY = "2026-03-02"
BURST = ("--burst", COUNT, "--seed", 7, "--start-date", DAY, "--json")


def generated_receipts() -> list[bytes]:
    """The receipts that `generate` sends. They are the same in each run."""
    with scripted_ingest() as server:
        code, output = run_command("generate", "--url", server.url, *BURST)
        assert code == 0, output
        return [request.body for request in server.requests]


def test_given_a_killed_ingest_then_every_generated_receipt_counts_once_and_to_the_cent(tmp_path: Path) -> None:
    with running_tillstream(tmp_path / "data") as running:
        with running_command("generate", "--url", running.ingest, *BURST) as sending:
            wait_until(lambda: accepted_receipts(running.ingest) > COUNT / 10, "ingest accepts receipts")
            running.command.child("ingest").kill()
            assert sending.wait(60) == 0, sending.output
        report = json.loads(sending.output)
        assert (report["accepted"], report["refused"], report["unacknowledged"]) == (COUNT, 0, 0)
        assert report["retried"] > 0
        revenue = sum(gross_cents(parse_receipt(receipt)) for receipt in generated_receipts())
        summary = running.wait_for_receipts(COUNT, DAY)
        assert summary["revenue"] == euros(revenue)
        assert summary["anomalies"] == 0
        assert run_check(tmp_path / "data").receipts == COUNT


def test_the_verb_sends_and_reports(tmp_path: Path) -> None:
    with running_tillstream(tmp_path / "data") as running:
        arguments = ("--url", running.ingest, "--burst", 300, "--batch", 100, "--seed", 7, "--json")
        code, output = run_command("generate", *arguments)
        assert code == 0, output
        report = json.loads(output)
        assert (report["sent"], report["accepted"], report["refused"]) == (300, 300, 0)
        running.wait_for_receipts(300)


def test_without_a_server_the_verb_ends_with_one_line_of_advice(tmp_path: Path) -> None:
    with running_tillstream(tmp_path / "data") as stopped:
        url = stopped.ingest
    arguments = ("generate", "--url", url, "--burst", 5, "--seed", 7, "--give-up", 0.5)
    code, output = run_command(*arguments)
    assert code == 2
    last = output.splitlines()[-1]
    assert f"{url}/receipt" in last
    assert "tillstream up" in last
