"""`tillstream stores` imports, shows and exports the list of stores, and refuses invalid files."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tillstream.cli import stores as command
from tillstream.cli.main import main
from tillstream.clock import SystemClock
from tillstream.config.data_directory import open_directory
from tillstream.config.settings import Settings
from tillstream.stores import repository
from tillstream.stores.repository import settings_in_force

LIST = "id,name,hours,zone\n12,Paris Opéra,07:00-19:30,\n97411,[b]Barachois,,Indian/Reunion\n"
ZONES_CHANGED = "time zones changed: 1; `tillstream up` uses them for new receipts after its next start\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "stores.csv"
    file.write_text(LIST, encoding="utf-8")
    return file


def stores(verb: str, *arguments: object, data: Path) -> Result:
    return CliRunner().invoke(main, ["stores", verb, *map(str, arguments), "--data", str(data)], prog_name="tillstream")


def test_a_list_is_imported_into_a_new_directory(data: Path, file: Path) -> None:
    imported = stores("import", file, data=data)
    assert (imported.exit_code, imported.output) == (0, f"2 stores: 2 new, 0 changed, 0 removed\n{ZONES_CHANGED}")
    assert repository.read(open_directory(data).store_list).title("12") == "Paris Opéra"
    again = stores("import", file, data=data)
    assert (again.exit_code, again.output) == (0, "2 stores: 0 new, 0 changed, 0 removed\n")


def test_a_shared_list_is_in_the_file_of_the_setting(data: Path, file: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    assert stores("import", file, "--shops-file", shared, data=data).exit_code == 0
    settings = Settings(data=str(tmp_path / "other"), shops_file=str(shared))
    in_force, store_list = settings_in_force(open_directory(settings.data_path), settings, SystemClock())
    assert (store_list().title("12"), in_force.store_zones) == ("Paris Opéra", {"97411": "Indian/Reunion"})
    assert "Paris Opéra" in stores("list", "--shops-file", shared, data=data).output
    assert not open_directory(data).store_list.exists()


def test_an_imported_list_replaces_the_earlier_one(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    file.write_text("id;name\n12;Opéra\n13;Bastille\n", encoding="utf-8")
    imported = stores("import", file, data=data)
    assert imported.output == f"2 stores: 1 new, 1 changed, 1 removed\n{ZONES_CHANGED}"


def test_a_setting_that_overrides_the_list_is_reported(data: Path, file: Path) -> None:
    imported = stores("import", file, "--store-zones", "97411=Indian/Mauritius,12=UTC", data=data)
    assert imported.output.endswith(
        "store 97411 stays in Indian/Mauritius: the setting store_zones overrides the list\n"
    )


def test_a_wrong_line_changes_nothing_and_every_fault_is_listed(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    before = (data / "shops.json").read_bytes()
    file.write_text("id,tills\n1,2\n1,x\n", encoding="utf-8")
    refused = stores("import", file, data=data)
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        f"{file}: line 3, tills: 'x' is not a number of tills; write 0 to 999, or nothing",
        f"{file}: line 3, id: '1' is already in line 2",
        (
            f"tillstream: could not import {file}: it has 2 faults; "
            "nothing changed; correct the file and import it again"
        ),
    ]
    assert (data / "shops.json").read_bytes() == before


def test_at_most_twenty_faults_are_listed(data: Path, file: Path) -> None:
    file.write_text("id,tills\n" + "".join(f"{number},x\n" for number in range(25)))
    lines = stores("import", file, data=data).stderr.splitlines()
    assert len(lines) == 22
    assert lines[19].startswith(f"{file}: line 21, tills")
    assert lines[20] == f"{file}: and 5 more"
    assert "it has 25 faults" in lines[21]
    assert not data.exists()


def test_a_missing_or_too_large_file_is_refused(data: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = stores("import", file.with_name("none.csv"), data=data)
    assert (missing.exit_code, "No such file or directory; check the path" in missing.stderr) == (2, True)
    monkeypatch.setattr(command, "FILE_LIMIT_BYTES", 10)
    large = stores("import", file, data=data)
    assert (large.exit_code, "it has more than 10 bytes" in large.stderr) == (2, True)


def test_a_damaged_list_is_refused_by_readers_and_repaired_by_the_next_import(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    (data / "shops.json").write_text("{")
    for verb in ("list", "export"):
        refused = stores(verb, data=data)
        assert (refused.exit_code, "import the list again" in refused.stderr) == (2, True)
    repaired = stores("import", file, data=data)
    assert (repaired.exit_code, "could not read the list of stores" in repaired.stderr) == (0, True)
    assert repaired.stdout.startswith("2 stores: 2 new")
    assert stores("list", data=data).exit_code == 0


def test_the_list_is_shown_and_its_export_can_be_imported(data: Path, file: Path, tmp_path: Path) -> None:
    stores("import", file, data=data)
    shown = stores("list", data=data).output
    assert all(text in shown for text in ("Paris Opéra", "07:00-19:30", "[b]Barachois", "Indian/Reunion"))
    exported = tmp_path / "exported.csv"
    exported.write_bytes(stores("export", data=data).stdout_bytes)
    assert stores("import", exported, data=data).output == "2 stores: 0 new, 0 changed, 0 removed\n"


def test_without_a_list_the_output_says_how_to_import_one(data: Path) -> None:
    open_directory(data)
    assert "with `tillstream stores import FILE`" in stores("list", data=data).output
    assert stores("export", data=data).stdout_bytes == b"id,name,city,region,hours,zone,tills\r\n"


@pytest.mark.parametrize("verb", ["import", "list", "export"])
def test_every_command_has_examples_in_its_help(verb: str) -> None:
    output = CliRunner().invoke(main, ["stores", verb, "--help"]).output
    assert f"\n    tillstream stores {verb}" in output
