"""`tillstream up --demo` loads receipts of past days and generates receipts of today."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support.processes import (
    RunningTillstream,
    assert_usage_error,
    run_check,
    running_command,
    running_tillstream,
)
from tests.support.settings import default_settings
from tests.support.waiting import wait_until

PAST_DAYS = 15
STORES = 12
LOADED_S = 60.0


@pytest.fixture
def taken_ports() -> Iterator[list[int]]:
    """The default ports, occupied by this test or by another program."""
    ports = [default_settings()[name] for name in ("ingest_port", "dashboard_port")]
    with ExitStack() as stack:
        for port in ports:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                listener.close()
        yield ports


def receipts_of(demo: RunningTillstream, day: date) -> int:
    return int(str(demo.summary(day.isoformat())["receipts"]))


def test_past_days_are_loaded_once_and_today_gets_receipts(data: Path) -> None:
    loaded = data / "demo.loaded"
    with running_tillstream(data, "--demo") as demo:
        demo.command.wait_for_output(r"\b[1-9]0 %$", LOADED_S)
        wait_until(loaded.exists, "the past days are loaded", LOADED_S)
        today = date.fromisoformat(str(demo.summary()["day"]))
        past = [today - timedelta(days=days) for days in range(1, PAST_DAYS + 1)]
        wait_until(lambda: all(receipts_of(demo, day) for day in past), "every past day has receipts", LOADED_S)
        first = demo.summary()
        wait_until(lambda: demo.summary()["revenue"] != first["revenue"], "the figures change")
        stores = httpx.get(f"{demo.dashboard}/api/v1/stores").json()["stores"]
        assert len(stores) == STORES
        assert all(store["listed"] and store["city"] for store in stores)
        assert "DEMO" in httpx.get(f"{demo.dashboard}/receipts").text
        assert demo.stop() == 0
        assert "Traceback" not in demo.command.output
    assert run_check(data).receipts > 0
    written_ns = loaded.stat().st_mtime_ns
    with running_tillstream(data, "--demo") as again:
        before = again.summary()
        wait_until(lambda: again.summary()["receipts"] != before["receipts"], "the demo generates receipts again")
        assert again.summary()["duplicates"] == 0
    assert loaded.stat().st_mtime_ns == written_ns


def test_the_demo_refuses_a_directory_with_real_receipts(data: Path) -> None:
    with running_tillstream(data) as real:
        real.stop()
    assert_usage_error("up", "--demo", "--data", data, "--ingest-port", 0, "--dashboard-port", 0, naming=data)


def test_the_demo_uses_its_own_directory_and_free_ports_if_the_default_ports_are_taken(
    tmp_path: Path, taken_ports: list[int]
) -> None:
    with running_command("up", "--demo", cwd=tmp_path) as command:
        demo = RunningTillstream(command)
        for port, address in zip(taken_ports, (demo.ingest, demo.dashboard), strict=True):
            output = command.wait_for_output(rf"^.*\b{port}\b.*\b{address.rpartition(':')[2]}\b.*--\w+-port\b.*$")
            assert not address.endswith(f":{port}"), output
        command.wait_for_output(r"^.*/tillstream-demo\b.*$")
        assert command.stop() == 0
    assert (tmp_path / "tillstream-demo" / "format.json").read_text() == '{"version": 1, "kind": "demo"}\n'


def test_given_a_port_option_when_the_port_is_taken_then_no_other_port_is_used(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert_usage_error("up", "--demo", "--data", data, "--ingest-port", port, naming=f"127.0.0.1:{port}")
