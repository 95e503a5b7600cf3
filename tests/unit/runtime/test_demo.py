"""Given what the demo loaded before; when it starts on a later day; then it loads what is missing, and no more."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from tillstream.config.data_directory import Kind, open_directory
from tillstream.runtime.demo import PAST_DAYS, STORES, list_shops, missing_days
from tillstream.stores import repository
from tillstream.stores.model import Store, StoreList

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("days_ago", "missing"), [(0, 0), (1, 1), (4, 4), (PAST_DAYS, PAST_DAYS), (400, PAST_DAYS), (-1, 0)]
)
def test_days_since_the_last_loaded_one_are_missing(tmp_path: Path, days_ago: int, missing: int) -> None:
    file = tmp_path / "demo.loaded"
    file.write_text(f"{TODAY - timedelta(days=days_ago)}\n")
    assert missing_days(file, TODAY) == missing


@pytest.mark.parametrize("text", [None, "", "nonsense\n"])
def test_all_days_are_missing_where_nothing_tells(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "demo.loaded"
    if text is not None:
        file.write_text(text)
    assert missing_days(file, TODAY) == PAST_DAYS


def test_its_shops_have_names_and_a_list_that_was_imported_stays(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "demo", Kind.DEMO)
    list_shops(directory)
    assert len(repository.read(directory.shops).by_id) == STORES
    repository.write(directory.shops, StoreList({"1": Store("1", "Chez moi")}))
    list_shops(directory)
    assert repository.read(directory.shops).title("1") == "Chez moi"
