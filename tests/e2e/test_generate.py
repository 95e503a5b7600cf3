"""Given a running chain; when ingest dies in the middle of a burst; then each receipt still counts once."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event, Thread

from tests.support.paper_receipts import gross, read
from tests.support.processes import call, running, up
from tests.support.waiting import wait_until
from tillstream.clock import SystemClock
from tillstream.generator.plan import Options, phases
from tillstream.generator.report import Report
from tillstream.generator.run import generate
from tillstream.posting.tally import Tally

COUNT = 15_000


def printed(options: Options) -> list[bytes]:
    """What a run of these options sends, without sending it."""
    return [phase.print(local_s) for phase in phases(options, SystemClock()) for _, local_s in phase.moments]


def test_receipts_sent_while_ingest_is_killed_count_once_each_and_to_the_cent(tmp_path: Path) -> None:
    with up(tmp_path / "data") as chain:
        options = Options(url=chain.ingest, seed=7, burst=COUNT)
        reports: list[Report] = []
        begun = Event()

        def watch(tally: Tally) -> None:
            if tally.accepted > COUNT / 10:
                begun.set()

        sending = Thread(target=lambda: reports.append(generate(options, watch)))
        sending.start()
        assert begun.wait(30)
        chain.command.part("ingest").kill()
        sending.join(60)

        assert not sending.is_alive()
        assert (reports[0].accepted, reports[0].refused, reports[0].clean) == (COUNT, 0, True)
        assert reports[0].retried > 0
        revenue = sum(gross(read(receipt)) for receipt in printed(options))
        summary = wait_until(lambda: _whole(chain.summary()), f"{COUNT} receipts")
        assert summary["revenue"] == f"{revenue // 100}.{revenue % 100:02d}"
        assert summary["anomalies"] == 0
        code, said = call("check", "--data", tmp_path / "data")
        assert (code, "everything agrees" in said) == (0, True), said


def _whole(summary: dict[str, object]) -> dict[str, object] | None:
    return summary if summary["receipts"] == COUNT else None


def test_the_verb_sends_and_reports(tmp_path: Path) -> None:
    with up(tmp_path / "data") as chain:
        arguments = ("--url", chain.ingest, "--burst", 300, "--batch", 100, "--seed", 7, "--json")
        with running("generate", *arguments) as generate_verb:
            assert generate_verb.wait(60) == 0
            report = json.loads(generate_verb.said)
        assert (report["sent"], report["accepted"], report["refused"]) == (300, 300, 0)
        chain.wait_for_receipts(300)


def test_without_a_server_the_verb_ends_with_one_line_of_what_to_try(tmp_path: Path) -> None:
    with up(tmp_path / "data") as gone:
        url = gone.ingest

    code, said = call("generate", "--url", url, "--burst", 5, "--seed", 7, "--give-up", 0.5)

    assert code == 2
    assert said.splitlines()[-1].startswith(f"tillstream: could not send receipts to {url}/receipt: ")
    assert said.splitlines()[-1].endswith("is `tillstream up` running?")
