"""The checks of `up` before a process starts."""

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
