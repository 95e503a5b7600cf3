"""The demo's own directory and ports, the missing past days that it loads, and its list of stores."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support import free_ports
from tillstream.config.data_directory import Kind, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import PortTaken
from tillstream.runtime.demo import DATA, PAST_DAYS, STORES, missing_days, prepare, write_store_list
from tillstream.stores import repository
from tillstream.stores.model import Store, StoreList

TODAY = date(2026, 11, 23)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    return free_ports.free_port()


@pytest.mark.parametrize(
    ("days_ago", "missing"), [(0, 0), (1, 1), (4, 4), (PAST_DAYS, PAST_DAYS), (400, PAST_DAYS), (-1, 0)]
)
def test_the_days_since_the_last_loaded_one_are_missing(tmp_path: Path, days_ago: int, missing: int) -> None:
    file = tmp_path / "demo.loaded"
    file.write_text(f"{TODAY - timedelta(days=days_ago)}\n")
    assert missing_days(file, TODAY) == missing


@pytest.mark.parametrize("text", [None, "", "nonsense\n"])
def test_all_days_are_missing_without_a_valid_file(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "demo.loaded"
    if text is not None:
        file.write_text(text)
    assert missing_days(file, TODAY) == PAST_DAYS


def test_the_demo_writes_its_list_of_stores_and_keeps_an_imported_one(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "demo", Kind.DEMO)
    write_store_list(directory)
    assert len(repository.read(directory.store_list).by_id) == STORES
    repository.write(directory.store_list, StoreList({"1": Store("1", "Chez moi")}))
    write_store_list(directory)
    assert repository.read(directory.store_list).title("1") == "Chez moi"


def test_the_demo_has_its_own_directory_unless_one_is_set(free_port: int) -> None:
    settings = Settings(ingest_port=free_port, dashboard_port=free_port)
    assert prepare(settings, {}, print).data == DATA
    assert prepare(settings, {"data": "the command line"}, print).data == settings.data


def test_the_demo_uses_free_ports_if_the_defaults_are_taken(taken_port: int, free_port: int) -> None:
    lines: list[str] = []
    prepared = prepare(Settings(ingest_port=taken_port, dashboard_port=free_port), {}, lines.append)
    assert prepared.dashboard_port == free_port
    assert lines == [f"port {taken_port} is taken, using {prepared.ingest_port} instead (--ingest-port)"]
    assert prepared.ingest_port not in (taken_port, free_port)


def test_the_demo_refuses_a_taken_port_that_was_set(taken_port: int) -> None:
    with pytest.raises(PortTaken):
        prepare(Settings(ingest_port=taken_port), {"ingest_port": "the command line"}, print)
