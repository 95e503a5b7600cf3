"""Given a data directory; when `tillstream stores` is called; then the list is taken, shown, written, or left alone."""

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
ZONES_TOLD = (
    "the time zone of 1 changed: it counts from the next start of `tillstream up` on, "
    "for receipts that come from then on\n"
)


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


def test_a_list_is_taken_into_a_new_directory_and_told_in_a_line(data: Path, file: Path) -> None:
    taken = stores("import", file, data=data)
    assert (taken.exit_code, taken.output) == (0, f"2 shops: 2 new, 0 changed, 0 gone\n{ZONES_TOLD}")
    assert repository.read(open_directory(data).shops).title("12") == "Paris Opéra"
    again = stores("import", file, data=data)
    assert (again.exit_code, again.output) == (0, "2 shops: 0 new, 0 changed, 0 gone\n")


def test_a_list_that_several_machines_share_is_in_the_file_that_is_named(
    data: Path, file: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared.json"
    assert stores("import", file, "--shops-file", shared, data=data).exit_code == 0
    settings = Settings(data=str(tmp_path / "other"), shops_file=str(shared))
    in_force, shops = settings_in_force(open_directory(settings.data_path), settings, SystemClock())
    assert (shops().title("12"), in_force.store_zones) == ("Paris Opéra", {"97411": "Indian/Reunion"})
    assert "Paris Opéra" in stores("list", "--shops-file", shared, data=data).output
    assert not open_directory(data).shops.exists()


def test_the_list_that_is_imported_takes_the_place_of_the_one_before(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    file.write_text("id;name\n12;Opéra\n13;Bastille\n", encoding="utf-8")
    taken = stores("import", file, data=data)
    assert taken.output == f"2 shops: 1 new, 1 changed, 1 gone\n{ZONES_TOLD}"


def test_a_setting_that_wins_over_the_list_is_told(data: Path, file: Path) -> None:
    taken = stores("import", file, "--store-zones", "97411=Indian/Mauritius,12=UTC", data=data)
    assert taken.output.endswith("shop 97411 stays in Indian/Mauritius: the setting store_zones wins over the list\n")


def test_when_a_line_is_wrong_nothing_is_changed_and_every_fault_is_listed(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    before = (data / "shops.json").read_bytes()
    file.write_text("id,tills\n1,2\n1,x\n", encoding="utf-8")
    refused = stores("import", file, data=data)
    assert refused.exit_code == 2
    assert refused.stderr.splitlines() == [
        f"{file}: line 3, tills: 'x' is no number of tills; write 0 to 999, or nothing",
        f"{file}: line 3, id: '1' stands in line 2 already",
        (
            f"tillstream: could not import {file}: there are 2 faults in it; "
            "nothing was changed; mend the file and import it again"
        ),
    ]
    assert (data / "shops.json").read_bytes() == before


def test_of_many_faults_twenty_are_listed(data: Path, file: Path) -> None:
    file.write_text("id,tills\n" + "".join(f"{number},x\n" for number in range(25)))
    said = stores("import", file, data=data).stderr.splitlines()
    assert len(said) == 22
    assert said[19].startswith(f"{file}: line 21, tills")
    assert said[20] == f"{file}: and 5 more"
    assert "there are 25 faults in it" in said[21]
    assert not data.exists()


def test_a_file_that_is_missing_or_too_large_is_refused(
    data: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = stores("import", file.with_name("none.csv"), data=data)
    assert (missing.exit_code, "No such file or directory; check the path" in missing.stderr) == (2, True)
    monkeypatch.setattr(command, "FILE_LIMIT_BYTES", 10)
    large = stores("import", file, data=data)
    assert (large.exit_code, "it has more than 10 bytes" in large.stderr) == (2, True)


def test_a_broken_list_is_mended_by_the_next_import_and_refused_by_readers(data: Path, file: Path) -> None:
    stores("import", file, data=data)
    (data / "shops.json").write_text("{")
    for verb in ("list", "export"):
        refused = stores(verb, data=data)
        assert (refused.exit_code, "import the list again" in refused.stderr) == (2, True)
    mended = stores("import", file, data=data)
    assert (mended.exit_code, "could not read the list of shops" in mended.stderr) == (0, True)
    assert mended.stdout.startswith("2 shops: 2 new")
    assert stores("list", data=data).exit_code == 0


def test_the_list_is_shown_and_written_as_import_takes_it(data: Path, file: Path, tmp_path: Path) -> None:
    stores("import", file, data=data)
    shown = stores("list", data=data).output
    assert all(text in shown for text in ("Paris Opéra", "07:00-19:30", "[b]Barachois", "Indian/Reunion"))
    exported = tmp_path / "exported.csv"
    exported.write_bytes(stores("export", data=data).stdout_bytes)
    assert stores("import", exported, data=data).output == "2 shops: 0 new, 0 changed, 0 gone\n"


def test_where_there_is_no_list_the_verbs_say_how_to_begin(data: Path) -> None:
    open_directory(data)
    assert "take one with `tillstream stores import FILE`" in stores("list", data=data).output
    assert stores("export", data=data).stdout_bytes == b"id,name,city,region,hours,zone,tills\r\n"


@pytest.mark.parametrize("verb", ["import", "list", "export"])
def test_each_verb_has_examples_in_its_help(verb: str) -> None:
    said = CliRunner().invoke(main, ["stores", verb, "--help"]).output
    assert f"\n    tillstream stores {verb}" in said
