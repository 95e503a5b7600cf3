"""The examples are what they say: receipts that are right, settings that load, a list of shops that is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.pipeline import NOON_US
from tillstream.cli import main
from tillstream.metrics import catalogue
from tillstream.settings import load
from tillstream.shoplist import kept
from tillstream.validation import Validator

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_settings_load_with_their_metric() -> None:
    settings = load(EXAMPLES / "tillstream.toml", environment={})
    assert settings.vat_rates == ["5.5", "10", "20"]
    assert catalogue(settings.metrics)[-1].name == "sales_by_till_and_hour"


@pytest.mark.parametrize(
    "body",
    [(EXAMPLES / "receipt.json").read_bytes(), *(EXAMPLES / "receipts.ndjson").read_bytes().splitlines()],
)
def test_the_receipts_are_taken(body: bytes) -> None:
    settings = load(EXAMPLES / "tillstream.toml", environment={})
    _, key, day = Validator(settings).check(body, NOON_US, "json/http")
    assert (len(key), day) == (32, "2026-11-23")


def test_the_list_of_shops_is_imported_and_has_the_shop_of_the_receipts(tmp_path: Path) -> None:
    data = tmp_path / "data"
    taken = CliRunner().invoke(main, ["stores", "import", str(EXAMPLES / "stores.csv"), "--data", str(data)])
    assert (taken.exit_code, taken.output.splitlines()[0]) == (0, "12 shops: 12 new, 0 changed, 0 gone")
    shops = kept.read(data / "shops.json")
    assert shops.title("12") == "Strasbourg Krutenau"
    assert all(shop.name and shop.city and shop.region and shop.hours and shop.tills for shop in shops.by_id.values())
    assert len(shops.regions) == 9
