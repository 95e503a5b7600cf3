"""Given a list in the data directory; when it is kept, changed or broken; then readers see the last good one."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog.testing

from tillstream.clock import ManualClock
from tillstream.config.settings import Settings
from tillstream.errors import StoreListError
from tillstream.stores.model import Store, StoreList
from tillstream.stores.opening_hours import parse
from tillstream.stores.repository import StoreRepository, read, with_zones, write

OPERA = Store("12", "Paris Opéra", "Paris", "Île-de-France", "", 3, parse("Mo-Sa 07:00-19:30; Su 07:00-13:00"))
REUNION = Store("97411", zone="Indian/Reunion")


def listed(*shops: Store) -> StoreList:
    return StoreList({shop.id: shop for shop in shops})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shops.json"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(0)


def test_what_is_kept_is_read_in_its_order(file: Path) -> None:
    assert read(file).by_id == {}
    write(file, listed(REUNION, OPERA))
    assert list(read(file).by_id.items()) == [("97411", REUNION), ("12", OPERA)]
    assert [entry.name for entry in file.parent.iterdir()] == ["shops.json"]


def test_a_list_that_cannot_be_kept_leaves_the_one_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, listed(OPERA))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreListError, match=r"keep the list of shops in .*shops.json: No space left on device"):
        write(file, listed(REUNION))
    assert read(file).by_id == {"12": OPERA}


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "Input data was truncated"),
        ("[]", "Expected `object`"),
        ('{"version": 2, "stores": []}', "its version is 2, and this tillstream reads versions up to 1; install"),
        ('{"version": 1}', "missing required field `shops`"),
        ('{"version": 1, "shops": [{"id": "1", "hours": "always"}]}', "'always' is no opening hours"),
        ('{"version": 1, "shops": [{"id": "1", "zone": "Mars"}]}', "shop 1: 'Mars' is not a time zone"),
        ('{"version": 1, "shops": [{"id": "1", "phone": "3"}]}', "unknown field `phone`"),
    ],
)
def test_a_file_that_is_no_list_says_why(file: Path, text: str, because: str) -> None:
    file.write_text(text)
    with pytest.raises(StoreListError) as caught:
        read(file)
    assert f"could not read the list of shops in {file}: " in str(caught.value)
    assert because in str(caught.value)


def test_a_directory_in_its_place_says_why(file: Path) -> None:
    file.mkdir()
    with pytest.raises(StoreListError, match="Is a directory; check who may read it"):
        read(file)


def test_a_new_list_is_seen_within_a_second_and_not_looked_for_more_often(file: Path, clock: ManualClock) -> None:
    shops = StoreRepository(file, clock)
    assert shops().title("12") == "12"
    write(file, listed(OPERA))
    clock.advance(0.9)
    assert shops().title("12") == "12"
    clock.advance(0.1)
    assert shops().title("12") == "Paris Opéra"
    same = shops()
    clock.advance(5)
    assert shops() is same
    file.unlink()
    clock.advance(1)
    assert shops().title("12") == "12"


def test_a_clock_that_is_set_back_hides_no_list(file: Path) -> None:
    clock = ManualClock(3_600_000_000)
    shops = StoreRepository(file, clock)
    assert shops().by_id == {}
    write(file, listed(OPERA))
    clock.advance(-3600)
    assert shops().title("12") == "Paris Opéra"


def test_a_broken_file_is_reported_once_and_the_last_good_list_stays(file: Path, clock: ManualClock) -> None:
    write(file, listed(OPERA))
    shops = StoreRepository(file, clock)
    assert shops().title("12") == "Paris Opéra"
    with structlog.testing.capture_logs() as logged:
        file.write_text("{")
        for _ in range(3):
            clock.advance(1)
            assert shops().title("12") == "Paris Opéra"
        write(file, listed(OPERA, REUNION))
        clock.advance(1)
        assert len(shops().by_id) == 2
    assert [(entry["log_level"], entry["event"]) for entry in logged] == [
        ("error", "store_list.unreadable"),
        ("info", "store_list.read"),
    ]
    assert logged[0]["shops_in_force"] == 1
    assert f"could not read the list of shops in {file}: Input data was truncated" in logged[0]["error"]


def test_zones_of_the_list_count_like_the_setting_which_wins() -> None:
    shops = listed(REUNION, Store("1", zone="Europe/Paris"), Store("2"), Store("3", zone="Europe/London"))
    settings = with_zones(Settings(store_zones={"3": "Europe/Lisbon", "4": "UTC"}), shops)
    assert settings.store_zones == {"97411": "Indian/Reunion", "3": "Europe/Lisbon", "4": "UTC"}


def test_a_zone_of_the_list_is_given_up_where_the_setting_has_the_chains() -> None:
    settings = Settings(store_zones={"97411": "Europe/Paris"})
    assert with_zones(settings, listed(REUNION)).store_zones == {"97411": "Europe/Paris"}
