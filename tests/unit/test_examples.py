"""The examples are what they say: receipts that are right, settings that load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pipeline import NOON_US
from tillstream.metrics import catalogue
from tillstream.settings import load
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
