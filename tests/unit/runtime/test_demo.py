"""The demo loads only the missing past days, and keeps an imported list of stores."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tillstream.config.data_directory import Kind, open_directory
from tillstream.runtime.demo import PAST_DAYS, STORES, missing_days, write_store_list
from tillstream.stores import repository
from tillstream.stores.model import Store, StoreList

TODAY = date(2026, 11, 23)


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
