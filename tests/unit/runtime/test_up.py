"""The checks of `up` before anything starts, and the demo's own directory and ports."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import free_ports
from tillstream.config import data_directory
from tillstream.config.data_directory import Kind, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, PortTaken, SettingsError
from tillstream.runtime import up


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    return free_ports.free_port()


def run(settings: Settings, *, demo: bool = False) -> None:
    asyncio.run(up.up(settings, demo=demo, echo=lambda line: pytest.fail(f"it started: {line}")))


def test_the_demo_has_its_own_directory_unless_one_is_set(free_port: int) -> None:
    settings = Settings(ingest_port=free_port, dashboard_port=free_port)
    assert up.prepare_demo(settings, {}, print).data == up.DEMO_DATA
    assert up.prepare_demo(settings, {"data": "the command line"}, print).data == settings.data


def test_the_demo_uses_free_ports_if_the_defaults_are_taken(taken_port: int, free_port: int) -> None:
    lines: list[str] = []
    prepared = up.prepare_demo(Settings(ingest_port=taken_port, dashboard_port=free_port), {}, lines.append)
    assert prepared.dashboard_port == free_port
    assert lines == [f"port {taken_port} is taken, using {prepared.ingest_port} instead (--ingest-port)"]
    assert prepared.ingest_port not in (taken_port, free_port)


def test_the_demo_refuses_a_taken_port_that_was_set(taken_port: int) -> None:
    with pytest.raises(PortTaken):
        up.prepare_demo(Settings(ingest_port=taken_port), {"ingest_port": "the command line"}, print)


def test_ports_are_checked_before_anything_starts(tmp_path: Path, taken_port: int, free_port: int) -> None:
    data = str(tmp_path / "data")
    with pytest.raises(PortTaken, match=f":{taken_port}: another program already listens there.*--dashboard-port"):
        run(Settings(data=data, ingest_port=free_port, dashboard_port=taken_port))
    with pytest.raises(SettingsError, match="it equals ingest_port"):
        run(Settings(data=data, ingest_port=free_port, dashboard_port=free_port))


def test_the_inbox_is_checked_before_anything_starts(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    with pytest.raises(SettingsError, match="it is the data directory"):
        run(Settings(data=data, ingest_port=0, dashboard_port=0, inbox=data))


def test_the_directory_is_checked_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_directory, "LOCK_WAIT_S", 0.1)
    settings = Settings(data=str(tmp_path / "data"), ingest_port=0, dashboard_port=0)
    directory = open_directory(settings.data_path, Kind.DEMO)
    with pytest.raises(DataDirectoryError, match="invented receipts of a demo"):
        run(settings)
    for role in ("up", "ingest", "engine"):
        with directory.lock(role), pytest.raises(DataDirectoryError, match=rf"already uses it \({role}\)"):
            run(settings, demo=True)
