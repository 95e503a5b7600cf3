"""Given a data directory, used or not; when ingest is looked for; then it is the one that was meant."""

from __future__ import annotations

import secrets
from pathlib import Path

from tillstream.access import machine_token
from tillstream.clock import SystemClock
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.importing import destination
from tillstream.importing.destination import Destination, find
from tillstream.stores import repository
from tillstream.stores.model import Store, StoreList


def test_a_named_one_is_taken_as_it_is(tmp_path: Path) -> None:
    assert find(Settings(data=str(tmp_path)), "http://x:1/") == Destination("http://x:1", "http://x:1")


def test_the_one_that_runs_on_the_data_directory_is_found_with_a_mark_of_its_log(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    with open_directory(settings.data_path).lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        found = find(settings)
    assert found == Destination("http://127.0.0.1:4321", destination.mark(settings), same_machine=True)
    assert found.mark


def test_each_key_has_a_mark_of_its_own_that_tells_nothing_of_its_secret(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    one, other = f"ts_00000001_{'A' * 43}", f"ts_00000002_{'A' * 43}"
    with open_directory(settings.data_path).lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        for to in ("", "http://x:1"):
            found = [find(settings, to, key) for key in ("", one, other)]
            assert [each.key for each in found] == ["", one, other]
            assert len({each.mark for each in found}) == 3
            assert not any("A" * 43 in each.mark for each in found)


def test_without_one_that_runs_it_is_where_the_settings_say(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "none"))
    assert find(settings).url == "http://127.0.0.1:3000"
    assert find(Settings(data=str(tmp_path), ingest_port=3001, host="::")).url == "http://[::1]:3001"
    assert destination.mark(settings) == ""


def test_the_machines_token_goes_to_the_ingest_of_the_directory_and_to_nobody_else(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    directory = open_directory(settings.data_path)
    token = machine_token.token(directory, secrets.token_bytes)
    assert (find(settings).key, find(settings).same_machine) == ("", False)
    with directory.lock("ingest") as lock:
        lock.publish("http://127.0.0.1:4321")
        assert (find(settings).key, find(settings).same_machine) == (token, True)


def test_a_directory_that_was_made_anew_has_another_mark(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    open_directory(settings.data_path)
    first = destination.mark(settings)
    (tmp_path / "data" / "format.json").rename(tmp_path / "data" / "old.new")
    open_directory(settings.data_path)
    assert destination.mark(settings) != first


def test_zones_of_the_list_of_shops_count_where_the_directory_is_here(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path / "data"))
    assert destination.with_zones(settings, SystemClock()) == settings
    repository.write(open_directory(settings.data_path).shops, StoreList({"7": Store("7", zone="Europe/London")}))
    assert destination.with_zones(settings, SystemClock()).store_zones == {"7": "Europe/London"}
