"""Given settings and ports; when `up` prepares; then the demo gives way, and what cannot be is refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.spare import spare_port
from tillstream.config import data_directory
from tillstream.config.data_directory import Kind, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import DataDirectoryError, PortTaken, SettingsError
from tillstream.runtime import up


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def free() -> int:
    return spare_port()


def run(settings: Settings, *, demo: bool = False) -> None:
    asyncio.run(up.up(settings, demo=demo, say=lambda line: pytest.fail(f"it started: {line}")))


def test_the_demo_has_a_directory_of_its_own_unless_one_is_named(free: int) -> None:
    settings = Settings(ingest_port=free, dashboard_port=free)
    assert up.prepare_demo(settings, {}, print).data == up.DEMO_DATA
    assert up.prepare_demo(settings, {"data": "the command line"}, print).data == settings.data


def test_the_demo_takes_other_ports_where_default_ones_are_taken_and_tells(taken: int, free: int) -> None:
    told: list[str] = []
    prepared = up.prepare_demo(Settings(ingest_port=taken, dashboard_port=free), {}, told.append)
    assert prepared.dashboard_port == free
    assert told == [f"port {taken} is taken, using {prepared.ingest_port} instead (--ingest-port)"]
    assert prepared.ingest_port not in (taken, free)


def test_the_demo_keeps_a_port_that_was_asked_for(taken: int) -> None:
    with pytest.raises(PortTaken):
        up.prepare_demo(Settings(ingest_port=taken), {"ingest_port": "the command line"}, print)


def test_ports_are_checked_before_anything_starts(tmp_path: Path, taken: int, free: int) -> None:
    data = str(tmp_path / "data")
    with pytest.raises(PortTaken, match=f":{taken}: another program already listens there.*--dashboard-port"):
        run(Settings(data=data, ingest_port=free, dashboard_port=taken))
    with pytest.raises(SettingsError, match="it is ingest's port too"):
        run(Settings(data=data, ingest_port=free, dashboard_port=free))


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
        with directory.lock(role), pytest.raises(DataDirectoryError, match=rf"already in use .*\({role}\)"):
            run(settings, demo=True)
