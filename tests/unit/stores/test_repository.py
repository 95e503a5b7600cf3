"""The stored list of stores: readers see changes, and keep the last valid list if the file is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from tests.inprocess.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import StoreListError
from tillstream.stores.model import Store, StoreList, parse_hours
from tillstream.stores.repository import StoreRepository, compare, read, with_zones, write

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse_hours("Mo-Sa 07:00-19:30; Su 07:00-13:00"))
REUNION = Store("97411", zone="Indian/Reunion")


def store_list(*stores: Store) -> StoreList:
    return StoreList({store.id: store for store in stores})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shops.json"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


def test_a_saved_list_is_read_in_its_order(file: Path) -> None:
    assert read(file).by_id == {}
    write(file, store_list(REUNION, OPERA))
    assert list(read(file).by_id.items()) == [("97411", REUNION), ("12", OPERA)]
    assert [entry.name for entry in file.parent.iterdir()] == ["shops.json"]


def test_a_failed_save_leaves_the_earlier_list(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, store_list(OPERA))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreListError, match=r"save the list of stores in .*shops.json: No space left on device"):
        write(file, store_list(REUNION))
    assert read(file).by_id == {"12": OPERA}


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`"),
        ('{"version": 2, "stores": []}', "its version is 2, and this tillstream reads versions up to 1; install"),
        ('{"version": 1}', "missing required field `shops`"),
        ('{"version": 1, "shops": [{"id": "1", "hours": "always"}]}', "'always' does not look like opening hours"),
        ('{"version": 1, "shops": [{"id": "1", "zone": "Mars"}]}', "store 1: 'Mars' is not a time zone"),
        ('{"version": 1, "shops": [{"id": "1", "phone": "3"}]}', "unknown field `phone`"),
    ],
)
def test_an_unusable_file_is_refused_with_the_cause(file: Path, text: str, because: str) -> None:
    file.write_text(text)
    with pytest.raises(StoreListError) as caught:
        read(file)
    assert f"could not read the list of stores in {file}: " in str(caught.value)
    assert because in str(caught.value)


def test_a_directory_instead_of_the_file_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StoreListError, match="Is a directory; check its permissions"):
        read(file)


def test_a_new_list_is_read_within_a_second_and_checked_no_more_often(file: Path, clock: ManualClock) -> None:
    stores = StoreRepository(file, clock)
    assert stores().title("12") == "12"
    write(file, store_list(OPERA))
    clock.advance(0.9)
    assert stores().title("12") == "12"
    clock.advance(0.1)
    assert stores().title("12") == "Paris Opéra"
    same = stores()
    clock.advance(5)
    assert stores() is same
    file.unlink()
    clock.advance(1)
    assert stores().title("12") == "12"


def test_a_new_list_is_read_after_the_clock_was_set_back(file: Path) -> None:
    clock = ManualClock(3_600_000_000)
    stores = StoreRepository(file, clock)
    assert stores().by_id == {}
    write(file, store_list(OPERA))
    clock.advance(-3600)
    assert stores().title("12") == "Paris Opéra"


def test_a_damaged_file_is_reported_once_and_the_last_valid_list_stays(file: Path, clock: ManualClock) -> None:
    write(file, store_list(OPERA))
    stores = StoreRepository(file, clock)
    assert stores().title("12") == "Paris Opéra"
    with structlog.testing.capture_logs() as logged:
        file.write_text("{")
        for _ in range(3):
            clock.advance(1)
            assert stores().title("12") == "Paris Opéra"
        write(file, store_list(OPERA, REUNION))
        clock.advance(1)
        assert len(stores().by_id) == 2
    assert [(entry["log_level"], entry["event"]) for entry in logged] == [
        ("error", "store_list.unreadable"),
        ("info", "store_list.read"),
    ]
    assert logged[0]["stores_in_force"] == 1
    assert f"could not read the list of stores in {file}: Input data was truncated" in logged[0]["error"]


def test_zones_of_the_list_count_and_the_setting_overrides_them() -> None:
    stores = store_list(REUNION, Store("1", zone="Europe/Paris"), Store("2"), Store("3", zone="Europe/London"))
    settings = with_zones(Settings(store_zones={"3": "Europe/Lisbon", "4": "UTC"}), stores)
    assert settings.store_zones == {"97411": "Indian/Reunion", "3": "Europe/Lisbon", "4": "UTC"}


def test_the_setting_can_override_a_zone_with_that_of_the_chain() -> None:
    settings = Settings(store_zones={"97411": "Europe/Paris"})
    assert with_zones(settings, store_list(REUNION)).store_zones == {"97411": "Europe/Paris"}


def test_stores_are_added_changed_removed_or_equal() -> None:
    old = store_list(Store("1", "A"), Store("2", "B"), Store("3", "C", zone="Indian/Reunion"))
    new = store_list(Store("1", "A"), Store("2", "B", zone="Europe/London"), Store("4", "D"))
    changes = compare(old, new)
    assert (changes.added, changes.changed, changes.removed) == (["4"], ["2"], ["3"])
    assert changes.zones == ["2", "3"]
    assert str(changes) == "3 stores: 1 new, 1 changed, 1 removed"


def test_numbers_of_changes_have_commas_and_a_singular() -> None:
    many = store_list(*(Store(str(number)) for number in range(1_000)))
    assert str(compare(StoreList(), many)) == "1,000 stores: 1,000 new, 0 changed, 0 removed"
    assert str(compare(StoreList(), store_list(Store("1")))) == "1 store: 1 new, 0 changed, 0 removed"
