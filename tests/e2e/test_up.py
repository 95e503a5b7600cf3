"""`tillstream up` accepts and shows receipts, stops, restarts, and reports errors in one line."""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from pathlib import Path

import duckdb
import httpx
import psutil

from tests.support.processes import (
    assert_usage_error,
    integers_in,
    run_check,
    run_command,
    running_role,
    running_tillstream,
)
from tests.support.receipts import RECEIPT_OF_2017
from tests.support.waiting import wait_until
from tests.support.webhook_receiver import webhook_receiver

DAY = "2017-11-18"


def test_a_receipt_is_shown_before_and_after_a_restart(data: Path) -> None:
    with running_tillstream(data) as first:
        answer = first.post(RECEIPT_OF_2017)
        assert answer.status_code == 202
        assert answer.json()["day"] == DAY
        summary = first.wait_for_receipts(1, DAY)
        assert [summary[name] for name in ("revenue", "net", "tax", "items")] == ["4.86", "4.54", "0.32", 5]
        began = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - began < 10
    with running_tillstream(data) as second:
        again = second.wait_for_receipts(1, DAY)
        assert again["revenue"] == "4.86"
        second.post(RECEIPT_OF_2017)
        wait_until(lambda: second.summary()["duplicates"] == 1, "the duplicate is counted")
        assert run_check(data) == (2, 1, 1, 0, 0)
        assert second.command.stop(signal.SIGINT) == 0
    assert run_check(data) == (2, 1, 1, 0, 0)


def test_receipts_accepted_just_before_a_stop_are_shown_after_a_restart(data: Path) -> None:
    receipts = [json.loads(RECEIPT_OF_2017) | {"cashReceiptID": number} for number in range(500)]
    with running_tillstream(data) as first:
        answer = first.post(json.dumps(receipts).encode(), path="/receipts")
        assert answer.json()["accepted"] == 500
        first.stop()
    with running_tillstream(data) as second:
        second.wait_for_receipts(500, DAY)


def test_ingest_accepts_receipts_without_loading_the_libraries_of_the_database(data: Path) -> None:
    with running_role("ingest", data) as (command, address):
        answer = httpx.post(f"{address}/receipt", content=RECEIPT_OF_2017, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202
        loaded = {Path(each.path).name for each in psutil.Process(command.pid).memory_maps()}
    assert not [name for name in loaded if "duckdb" in name or "arrow" in name]


def test_the_addresses_stay_the_same_when_a_role_is_killed(data: Path) -> None:
    with running_tillstream(data) as running_up:
        running_up.post(RECEIPT_OF_2017)
        running_up.wait_for_receipts(1, DAY)
        killed = [running_up.command.child(name) for name in ("ingest", "engine")]
        for part in killed:
            part.kill()
            wait_until(lambda part=part: not part.is_running(), "the process has ended")  # type: ignore[misc]
        for number in (2, 3):
            receipt = json.dumps(json.loads(RECEIPT_OF_2017) | {"cashReceiptID": number}).encode()
            answer = wait_until(lambda receipt=receipt: running_up.post(receipt), "ingest runs again")  # type: ignore[misc]
            assert answer.status_code == 202
        restarted = [running_up.command.child(name) for name in ("ingest", "engine")]
        assert not {part.pid for part in restarted} & {part.pid for part in killed}
        running_up.wait_for_receipts(3, DAY)
        assert run_check(data).receipts == 3
        # Each process was restarted once.
        assert all(part.is_running() for part in restarted)


def test_a_stalled_engine_reports_its_error_and_recovers(data: Path) -> None:
    with running_tillstream(data) as running_up:
        # The engine cannot replace its state file, because the temporary name is taken by a directory.
        obstacle = data / "engine.reach.new"
        obstacle.mkdir()
        engine = running_up.command.child("engine")
        assert running_up.post(RECEIPT_OF_2017).status_code == 202
        running_up.command.wait_for_output(re.escape(str(data / "engine.reach")))
        ready = httpx.get(f"{running_up.dashboard}/health/ready")
        assert (ready.status_code, len(ready.json()["errors"])) == (503, 1)
        receipt = json.dumps(json.loads(RECEIPT_OF_2017) | {"cashReceiptID": 2}).encode()
        assert running_up.post(receipt).status_code == 202
        obstacle.rmdir()
        running_up.wait_for_receipts(2, DAY)
        wait_until(lambda: running_up.get("/health/ready").status_code == 200, "the engine recovers")
        assert running_up.command.child("engine") == engine


def test_a_killed_supervisor_leaves_no_orphans_and_no_lock(data: Path) -> None:
    with running_tillstream(data) as first:
        first.post(RECEIPT_OF_2017)
        parts = [first.command.child(name) for name in ("ingest", "engine")]
        first.command.process.kill()
        _, alive = psutil.wait_procs(parts, timeout=10)
        assert alive == []
    with running_tillstream(data) as second:
        second.wait_for_receipts(1, DAY)


def test_a_second_interrupt_does_not_disturb_the_stop(data: Path) -> None:
    with running_tillstream(data) as first:
        first.post(RECEIPT_OF_2017)
        first.command.process.send_signal(signal.SIGINT)
        assert first.command.stop(signal.SIGINT) == 0
    with running_tillstream(data) as second:
        second.wait_for_receipts(1, DAY)
    assert run_check(data).receipts == 1


def test_an_occupied_port_is_reported(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for option in ("--ingest-port", "--dashboard-port"):
            arguments = ("up", "--data", data, "--ingest-port", 0, "--dashboard-port", 0, option, port)
            assert_usage_error(*arguments, naming=f"127.0.0.1:{port}")
            assert_usage_error(*arguments, naming=option)


def test_a_directory_in_use_is_reported(data: Path) -> None:
    with running_tillstream(data) as first:
        ports = ("--ingest-port", 0, "--dashboard-port", 0)
        assert_usage_error("up", "--data", data, *ports, naming=first.command.pid)
        assert_usage_error("ingest", "--data", data, "--ingest-port", 0, naming=first.command.child("ingest").pid)
        assert_usage_error("rebuild", "--data", data, naming=first.command.child("engine").pid)


def test_data_of_a_newer_version_or_of_a_demo_is_refused(data: Path) -> None:
    data.mkdir()
    (data / "format.json").write_text('{"version": 99, "kind": "real"}')
    assert_usage_error("up", "--data", data, naming=99)
    (data / "format.json").write_text('{"version": 1, "kind": "demo"}')
    assert_usage_error("up", "--data", data, naming=data)


def test_a_wrong_setting_ends_the_command_at_once(data: Path) -> None:
    assert_usage_error("up", "--data", data, "--zone", "Mars", naming="Mars")
    config = data.parent / "tillstream.toml"
    config.write_text('[[metrics]]\nname = "x"\nsource = "receipts"\nkeys = ["day", "moon"]\nmeasures = ["receipts"]\n')
    code, output = run_command("up", "--config", config, "--data", data, "--ingest-port", 0, "--dashboard-port", 0)
    assert (code, "moon" in output, "Traceback" in output) == (2, True, False), output


def test_each_role_runs_separately(data: Path) -> None:
    with (
        running_role("ingest", data) as (ingest, ingest_address),
        running_role("engine", data) as (engine, dashboard_address),
    ):
        assert httpx.post(f"{ingest_address}/receipt", content=RECEIPT_OF_2017).status_code == 202

        def shown() -> bool:
            summary = httpx.get(f"{dashboard_address}/api/v1/summary", params={"day": DAY}).json()
            return bool(summary["receipts"] == 1)

        wait_until(shown, "the receipt is shown")
        assert (ingest.stop(), engine.stop(signal.SIGINT)) == (0, 0)


def test_a_dead_engine_does_not_stop_ingest(data: Path) -> None:
    with running_role("ingest", data) as (_, ingest_address):
        assert httpx.post(f"{ingest_address}/receipt", content=RECEIPT_OF_2017).status_code == 202


def test_a_custom_metric_is_served(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "tillstream.toml"
    config.write_text(
        '[[metrics]]\nname = "biggest_receipt"\nhelp = "The biggest receipt"\nsource = "receipts"\nkeys = ["day"]\n'
        'measures = [{name = "biggest", fold = "max", column = "gross"}]\n'
    )
    with running_tillstream(data, TILLSTREAM_CONFIG=str(config)) as running_up:
        running_up.post(RECEIPT_OF_2017)
        running_up.wait_for_receipts(1, DAY)
        answer = httpx.get(f"{running_up.dashboard}/api/v1/metrics/biggest_receipt", params={"day": DAY})
        assert answer.json()["rows"] == [{"day": DAY, "biggest": "4.86"}]


def test_verbs_show_an_example(data: Path) -> None:
    for verb in ("up", "ingest", "engine", "check", "rebuild", "settings", "version", "generate"):
        code, output = run_command(verb, "--help")
        assert code == 0
        assert f"tillstream {verb}" in output, output


def test_a_rebuild_has_equal_figures(data: Path) -> None:
    with running_tillstream(data) as first:
        first.post(RECEIPT_OF_2017)
        first.post(RECEIPT_OF_2017)
        before = first.wait_for_receipts(1, DAY)
        first.stop()
    code, output = run_command("rebuild", "--data", data)
    assert (code, integers_in(output)) == (0, [2]), output
    code, output = run_command("rebuild", "--data", data, "sales")
    assert (code, integers_in(output)) == (0, [1]), output
    with running_tillstream(data) as second:
        after = second.wait_for_receipts(1, DAY)
        for name in ("revenue", "net", "tax", "items", "anomalies", "stores_active"):
            assert after[name] == before[name]
        assert second.summary()["duplicates"] == 1


def test_an_unknown_metric_is_refused_with_a_list_of_the_metrics(data: Path) -> None:
    with running_tillstream(data) as first:
        first.stop()
    code, output = run_command("rebuild", "--data", data, "sales_by_moon")
    assert (code, "sales_by_moon" in output, "sales_by_store" in output, "Traceback" in output) == (
        2,
        True,
        True,
        False,
    )


def test_given_a_figure_that_differs_from_the_recount_then_check_exits_with_code_1(data: Path) -> None:
    with running_tillstream(data) as first:
        first.post(RECEIPT_OF_2017)
        first.wait_for_receipts(1, DAY)
        first.stop()
    with duckdb.connect(str(data / "store.duckdb")) as database:
        database.execute("UPDATE merged_sales SET revenue = revenue + 0.01")
    code, output = run_command("check", "--data", data)
    assert code == 1, output
    assert "summary.revenue" in output
    assert "4.87" in output


def test_an_alert_is_posted_to_the_webhook_with_a_link_to_its_page(data: Path) -> None:
    with (
        webhook_receiver() as receiver,
        running_tillstream(data, "--alert-quarantine-per-hour", 2, "--alert-webhook-url", receiver.url()) as tillstream,
    ):
        for _ in range(2):
            assert tillstream.post(b'{"storeID"').status_code == 400
        wait_until(lambda: receiver.accepted, "the alert is posted")
        [event] = receiver.accepted
        assert (event["event"], event["alert"]["rule"], event["alert"]["values"]) == (
            "fired",
            "quarantine",
            {"entries": 2},
        )
        assert event["page"] == f"{tillstream.dashboard}/quarantine"
        assert httpx.get(event["page"]).status_code == 200
        assert httpx.get(f"{tillstream.dashboard}/api/v1/alerts").json() == {"alerts": [event["alert"]], "more": 0}
        assert tillstream.stop() == 0
