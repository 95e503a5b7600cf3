"""Data directories in every state open, migrate, or are refused with one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tillstream.config import data_directory
from tillstream.config.data_directory import FORMAT_FILE, VERSION, DataDirectory, Kind, open_directory
from tillstream.errors import DataDirectoryError

NOBODY = 65534


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_directory, "LOCK_WAIT_S", 0.1)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Not root within the test: root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def write_format(data: Path, **content: object) -> None:
    data.mkdir(exist_ok=True)
    (data / FORMAT_FILE).write_text(json.dumps(content))


def read_format(data: Path) -> object:
    return json.loads((data / FORMAT_FILE).read_text())


def test_a_missing_directory_is_created_and_can_be_reopened(data: Path) -> None:
    made = open_directory(data, Kind.DEMO)
    assert (made.kind, read_format(data)) == (Kind.DEMO, {"version": VERSION, "kind": "demo"})
    assert open_directory(data) == made
    assert (made.log.parent, made.database.parent) == (data, data)


def test_a_new_directory_is_for_real_receipts_by_default(data: Path) -> None:
    assert open_directory(data).kind is Kind.REAL


def test_an_empty_or_half_created_directory_is_accepted(data: Path) -> None:
    data.mkdir()
    (data / "up.lock").write_text("12\n")
    (data / f"{FORMAT_FILE}.new").write_text("{")
    assert open_directory(data).kind is Kind.REAL


@pytest.mark.parametrize(
    ("found", "wanted", "because"),
    [(Kind.REAL, Kind.DEMO, "it contains real receipts"), (Kind.DEMO, Kind.REAL, "invented receipts of a demo")],
)
def test_a_directory_of_the_other_kind_is_refused(data: Path, found: Kind, wanted: Kind, because: str) -> None:
    open_directory(data, found)
    with pytest.raises(DataDirectoryError, match=because):
        open_directory(data, wanted)


def test_readers_refuse_a_missing_directory_and_do_not_create_it(data: Path) -> None:
    with pytest.raises(DataDirectoryError, match="it does not exist"):
        open_directory(data, create=False)
    assert not data.exists()


def test_a_missing_parent_is_named(data: Path) -> None:
    with pytest.raises(DataDirectoryError, match=r"its parent .*data does not exist; try: mkdir -p"):
        open_directory(data / "below")


def test_a_file_instead_of_the_directory_is_refused(data: Path) -> None:
    data.write_text("")
    with pytest.raises(DataDirectoryError, match="it is a file"):
        open_directory(data)


def test_a_path_below_a_file_is_refused(data: Path) -> None:
    data.write_text("")
    with pytest.raises(DataDirectoryError, match="Not a directory"):
        open_directory(data / "below")


def test_a_directory_with_other_files_is_refused_and_left_unchanged(data: Path) -> None:
    data.mkdir()
    (data / "holiday.jpg").write_text("")
    with pytest.raises(DataDirectoryError, match=r"it contains holiday.jpg but no format.json"):
        open_directory(data)
    assert not (data / FORMAT_FILE).exists()


@pytest.mark.usefixtures("nobody")
def test_a_read_only_directory_is_refused() -> None:
    for path in (Path("/"), Path("/tillstream-of-nobody")):
        with pytest.raises(DataDirectoryError, match="Permission denied"):
            open_directory(path)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": "x", "kind": "real"}', '{"kind": "other"}'])
def test_an_invalid_format_file_is_refused(data: Path, text: str) -> None:
    data.mkdir()
    (data / FORMAT_FILE).write_text(text)
    with pytest.raises(DataDirectoryError, match=r"restore its file format\.json"):
        open_directory(data)


def test_a_newer_version_is_refused_in_one_line(data: Path) -> None:
    write_format(data, version=VERSION + 1, kind="real")
    with pytest.raises(DataDirectoryError) as caught:
        open_directory(data)
    assert str(caught.value) == (
        f"could not use the data directory {data}: its version is {VERSION + 1}, and this tillstream "
        f"reads versions up to {VERSION}; install a newer tillstream"
    )


@pytest.fixture
def migrate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataDirectory]:
    """Open a directory with other migration steps, which lead to the version after the last of them."""

    def migrate(data: Path, steps: dict[int, Callable[[Path], None]]) -> DataDirectory:
        monkeypatch.setattr(data_directory, "MIGRATIONS", steps)
        monkeypatch.setattr(data_directory, "VERSION", max(steps) + 1)
        return open_directory(data)

    return migrate


def test_an_older_version_is_migrated_step_by_step(data: Path, migrate: Callable[..., DataDirectory]) -> None:
    write_format(data, version=1, kind="demo")
    steps: list[str] = []
    opened = migrate(data, {1: lambda path: steps.append("to 2"), 2: lambda path: steps.append("to 3")})
    assert (steps, opened.kind) == (["to 2", "to 3"], Kind.DEMO)
    assert read_format(data) == {"version": 3, "kind": "demo"}


def test_an_interrupted_migration_continues_where_it_stopped(data: Path, migrate: Callable[..., DataDirectory]) -> None:
    write_format(data, version=1, kind="real")
    steps: list[str] = []

    def die(path: Path) -> None:
        steps.append("died")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(data, {1: lambda path: steps.append("to 2"), 2: die})
    assert read_format(data) == {"version": 2, "kind": "real"}
    migrate(data, {2: lambda path: steps.append("to 3")})
    assert steps == ["to 2", "died", "to 3"]


def test_a_version_without_a_migration_is_refused(data: Path, migrate: Callable[..., DataDirectory]) -> None:
    write_format(data, version=1, kind="real")
    with pytest.raises(DataDirectoryError, match="no longer supported"):
        migrate(data, {2: lambda path: None})


@pytest.mark.usefixtures("impatient")
def test_nothing_is_migrated_while_a_role_runs(data: Path, migrate: Callable[..., DataDirectory]) -> None:
    older = open_directory(data)
    with older.lock("ingest"), pytest.raises(DataDirectoryError, match="already uses it"):
        migrate(data, {1: lambda path: None})
    assert read_format(data) == {"version": 1, "kind": "real"}


@pytest.mark.usefixtures("impatient")
def test_the_error_about_a_held_lock_names_the_process(data: Path) -> None:
    directory = open_directory(data)
    with directory.lock("engine"):
        mine = rf"process {os.getpid()} already uses it \(engine\)"
        with pytest.raises(DataDirectoryError, match=mine), directory.lock("engine"):
            pytest.fail("two held one lock")
        with directory.lock("ingest"):
            pass
    with directory.lock("engine"):
        pass


def test_readers_get_the_process_and_the_address_of_a_role(data: Path) -> None:
    directory = open_directory(data)
    assert directory.holder("engine") is None
    with directory.lock("engine") as lock:
        assert directory.holder("engine") == data_directory.Holder(str(os.getpid()), "")
        lock.publish("http://127.0.0.1:8050")
        assert directory.holder("engine") == data_directory.Holder(str(os.getpid()), "http://127.0.0.1:8050")
    assert directory.holder("engine") is None


@pytest.mark.usefixtures("impatient")
def test_a_killed_process_releases_its_lock(data: Path) -> None:
    directory = open_directory(data)
    holding = (
        "import sys, pathlib; from tillstream.config.data_directory import open_directory\n"
        "with open_directory(pathlib.Path(sys.argv[1])).lock('engine'):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataDirectoryError, match=f"process {process.pid}"), directory.lock("engine"):
            pytest.fail("two held one lock")
        process.kill()
        process.wait()
    with directory.lock("engine"):
        pass
