"""Given a free machine; when `tillstream up` runs; then it takes, shows, stops, resumes, and refuses in one line."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import duckdb
import httpx
import psutil
import pytest

from tests.support.hook import receiving
from tests.support.processes import call, running, up
from tests.support.waiting import wait_until

EXAMPLE = (Path(__file__).parent / "receipt-of-2017.json").read_bytes()
DAY = "2017-11-18"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def refused(*arguments: object) -> str:
    """The one line with which a verb refuses to work."""
    code, said = call(*arguments)
    assert code == 2, said
    (line,) = said.splitlines()
    assert line.startswith("tillstream: could not ")
    return line


def test_a_receipt_is_seen_and_still_there_after_a_restart(data: Path) -> None:
    with up(data) as first:
        answer = first.post(EXAMPLE)
        assert answer.status_code == 202
        assert answer.json()["day"] == DAY
        seen = first.wait_for_receipts(1, DAY)
        assert (seen["revenue"], seen["net"], seen["tax"], seen["items"]) == ("4.86", "4.54", "0.32", 5)
        began = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - began < 10
    with up(data) as second:
        again = second.wait_for_receipts(1, DAY)
        assert again["revenue"] == "4.86"
        second.post(EXAMPLE)
        wait_until(lambda: second.summary()["duplicates"] == 1, "the duplicate is counted")
        code, said = call("check", "--data", data)
        assert code == 0, said
        assert "everything agrees: 2 records of the log = 1 receipts, 1 duplicates" in said
        assert second.command.stop(signal.SIGINT) == 0
    code, said = call("check", "--data", data)
    assert (code, "everything agrees" in said) == (0, True), said


def test_what_was_accepted_just_before_the_stop_is_there_afterwards(data: Path) -> None:
    receipts = [json.loads(EXAMPLE) | {"cashReceiptID": number} for number in range(500)]
    with up(data) as first:
        answer = first.post(json.dumps(receipts).encode(), path="/receipts")
        assert answer.json()["accepted"] == 500
        first.stop()
    with up(data) as second:
        second.wait_for_receipts(500, DAY)


def test_the_address_stays_the_same_when_a_part_is_killed(data: Path) -> None:
    with up(data) as running_up:
        running_up.post(EXAMPLE)
        running_up.wait_for_receipts(1, DAY)
        for name in ("ingest", "engine"):
            killed = running_up.command.part(name)
            killed.kill()
            wait_until(lambda killed=killed: not killed.is_running(), f"{name} is gone")  # type: ignore[misc]
        for number in (2, 3):
            receipt = json.dumps(json.loads(EXAMPLE) | {"cashReceiptID": number}).encode()
            answer = wait_until(lambda receipt=receipt: running_up.post(receipt), "ingest is back")  # type: ignore[misc]
            assert answer.status_code == 202
        running_up.wait_for_receipts(3, DAY)
        assert running_up.command.said.count("part died") == 2
        code, said = call("check", "--data", data)
        assert (code, "everything agrees" in said) == (0, True), said


def test_an_engine_that_cannot_go_on_says_so_and_does_once_it_can(data: Path) -> None:
    with up(data) as running_up:
        # The engine cannot publish its reach while a directory stands in the way.
        obstacle = data / "engine.reach.new"
        obstacle.mkdir()
        assert running_up.post(EXAMPLE).status_code == 202
        running_up.command.hear("engine_stands_still .*could not publish a position in .*engine.reach")
        ready = httpx.get(f"{running_up.dashboard}/health/ready")
        assert (ready.status_code, ready.json()["errors"][0]["error"]) == (
            503,
            "the figures stand still: Is a directory",
        )
        receipt = json.dumps(json.loads(EXAMPLE) | {"cashReceiptID": 2}).encode()
        assert running_up.post(receipt).status_code == 202
        obstacle.rmdir()
        running_up.wait_for_receipts(2, DAY)
        running_up.command.hear("engine_goes_on")
        assert httpx.get(f"{running_up.dashboard}/health/ready").status_code == 200
        assert "part died" not in running_up.command.said


def test_a_killed_supervisor_leaves_no_orphans_and_its_directory_free(data: Path) -> None:
    with up(data) as first:
        first.post(EXAMPLE)
        parts = [first.command.part(name) for name in ("ingest", "engine")]
        first.command.process.kill()
        _, alive = psutil.wait_procs(parts, timeout=10)
        assert alive == []
    with up(data) as second:
        second.wait_for_receipts(1, DAY)


def test_a_second_interrupt_harms_nothing(data: Path) -> None:
    with up(data) as first:
        first.post(EXAMPLE)
        first.command.process.send_signal(signal.SIGINT)
        assert first.command.stop(signal.SIGINT) == 0
    with up(data) as second:
        second.wait_for_receipts(1, DAY)
    code, said = call("check", "--data", data)
    assert code == 0, said


def test_a_port_that_is_taken_is_told(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for option in ("--ingest-port", "--dashboard-port"):
            said = refused("up", "--data", data, "--ingest-port", 0, "--dashboard-port", 0, option, port)
            assert f"listen on 127.0.0.1:{port}: another program listens there already" in said
            assert option in said


def test_a_directory_in_use_is_told(data: Path) -> None:
    with up(data) as first:
        ports = ("--ingest-port", 0, "--dashboard-port", 0)
        assert f"already in use by process {first.command.pid} (up)" in refused("up", "--data", data, *ports)
        ingest = first.command.part("ingest").pid
        assert f"already in use by process {ingest} (ingest)" in refused("ingest", "--data", data, "--ingest-port", 0)
        assert "already in use by process" in refused("rebuild", "--data", data)


def test_data_of_a_newer_version_and_of_a_demo_are_refused(data: Path) -> None:
    data.mkdir()
    (data / "format.json").write_text('{"version": 99, "kind": "real"}')
    assert "it is of version 99" in refused("up", "--data", data)
    (data / "format.json").write_text('{"version": 1, "kind": "demo"}')
    assert "invented receipts of a demo" in refused("up", "--data", data)


def test_a_wrong_setting_ends_it_at_once(data: Path) -> None:
    assert "'Mars' is no time zone" in refused("up", "--data", data, "--zone", "Mars")
    config = data.parent / "tillstream.toml"
    config.write_text('[[metrics]]\nname = "x"\nsource = "receipts"\nkeys = ["day", "moon"]\nmeasures = ["receipts"]\n')
    code, said = call("up", "--config", config, "--data", data, "--ingest-port", 0, "--dashboard-port", 0)
    assert code == 2, said
    assert "tillstream: could not declare the metric x: receipts have no key 'moon'" in said


def test_each_role_runs_by_itself(data: Path) -> None:
    with (
        running("ingest", "--data", data, "--ingest-port", 0) as ingest,
        running("engine", "--data", data, "--dashboard-port", 0) as engine,
    ):
        taking = ingest.hear(r"^ingest ready at (\S+)$")[1]
        showing = engine.hear(r"^engine ready at (\S+)$")[1]
        assert httpx.post(f"{taking}/receipt", content=EXAMPLE).status_code == 202

        def shown() -> bool:
            summary = httpx.get(f"{showing}/api/v1/summary", params={"day": DAY}).json()
            return bool(summary["receipts"] == 1)

        wait_until(shown, "the receipt is shown")
        assert (ingest.stop(), engine.stop(signal.SIGINT)) == (0, 0)


def test_a_dead_engine_does_not_stop_ingest(data: Path) -> None:
    with running("ingest", "--data", data, "--ingest-port", 0) as ingest:
        taking = ingest.hear(r"^ingest ready at (\S+)$")[1]
        assert httpx.post(f"{taking}/receipt", content=EXAMPLE).status_code == 202


def test_a_metric_of_ones_own_is_served(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "tillstream.toml"
    config.write_text(
        '[[metrics]]\nname = "biggest_receipt"\nhelp = "The biggest receipt"\nsource = "receipts"\nkeys = ["day"]\n'
        'measures = [{name = "biggest", fold = "max", column = "gross"}]\n'
    )
    with up(data, TILLSTREAM_CONFIG=str(config)) as serving:
        serving.post(EXAMPLE)
        serving.wait_for_receipts(1, DAY)
        answer = httpx.get(f"{serving.dashboard}/api/v1/metrics/biggest_receipt", params={"day": DAY})
        assert answer.json()["rows"] == [{"day": DAY, "biggest": "4.86"}]


def test_verbs_show_an_example(data: Path) -> None:
    for verb in ("up", "ingest", "engine", "check", "rebuild", "settings", "version", "generate"):
        code, said = call(verb, "--help")
        assert code == 0
        assert f"tillstream {verb}" in said, said


def test_rebuild_makes_the_same_figures(data: Path) -> None:
    with up(data) as first:
        first.post(EXAMPLE)
        first.post(EXAMPLE)
        before = first.wait_for_receipts(1, DAY)
        first.stop()
    code, said = call("rebuild", "--data", data)
    assert (code, "from 2 records of the log" in said) == (0, True), said
    code, said = call("rebuild", "--data", data, "sales")
    assert (code, "sales is made anew: 1 rows" in said) == (0, True), said
    with up(data) as second:
        after = second.wait_for_receipts(1, DAY)
        for name in ("revenue", "net", "tax", "items", "anomalies", "stores_active"):
            assert after[name] == before[name]
        assert second.summary()["duplicates"] == 1


def test_an_unknown_metric_is_refused_with_those_there_are(data: Path) -> None:
    with up(data) as first:
        first.stop()
    code, said = call("rebuild", "--data", data, "sales_by_moon")
    assert code == 2
    assert "there is no metric 'sales_by_moon'; there are sales, " in said
    assert "Traceback" not in said


def test_what_is_shown_differs_from_the_recount_ends_check_with_1(data: Path) -> None:
    with up(data) as first:
        first.post(EXAMPLE)
        first.wait_for_receipts(1, DAY)
        first.stop()
    with duckdb.connect(str(data / "store.duckdb")) as store:
        store.execute("UPDATE merged_sales SET revenue = revenue + 0.01")
    code, said = call("check", "--data", data)
    assert code == 1, said
    assert "summary.revenue" in said
    assert "4.87" in said


def test_an_alert_is_posted_to_the_webhook_with_a_page_that_shows_why(data: Path) -> None:
    with (
        receiving() as receiver,
        up(data, "--alert-quarantine-per-hour", 2, "--alert-webhook-url", receiver.url()) as running_,
    ):
        for _ in range(2):
            assert running_.post(b'{"storeID"').status_code == 400
        wait_until(lambda: receiver.taken, "the alert is posted")
        [event] = receiver.taken
        assert (event["event"], event["alert"]["rule"], event["alert"]["values"]) == (
            "fired",
            "quarantine",
            {"entries": 2},
        )
        assert event["page"] == f"{running_.dashboard}/quarantine"
        assert httpx.get(event["page"]).status_code == 200
        assert httpx.get(f"{running_.dashboard}/api/v1/alerts").json() == {"alerts": [event["alert"]], "more": 0}
        assert running_.stop() == 0
