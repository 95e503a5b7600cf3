"""Amounts are exact, dates are local, and the parts of a total add up to it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillstream.config.settings import Settings
from tillstream.formats.canonical import amount, encode, local_date, spread, unit, without_gaps


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.30", "0.30"), (" -1.5 ", "-1.5"), ("+7", "7"), (".5", "0.5"), ("3.", "3"), ("1" * 40, "1" * 40)],
)
def test_a_number_keeps_its_digits(text: str, number: str) -> None:
    assert encode({"a": amount(text)}) == b'{"a":%b}' % number.encode()


@pytest.mark.parametrize("text", ["", "NaN", "1,5", "1e400", "abc", "1" * 41, "\u0661", "1 2"])
def test_any_other_text_is_unchanged(text: str) -> None:
    assert amount(text) == text


def test_an_instant_becomes_the_local_time_of_the_store() -> None:
    settings = Settings(zone="Europe/Paris", store_zones={"9": "America/New_York"})
    moment = datetime(2020, 1, 17, 20, 47, 53, tzinfo=UTC)
    assert local_date(settings, "1", moment) == "2020-01-17 21:47:53"
    assert local_date(settings, "9", moment) == "2020-01-17 15:47:53"


def test_empty_members_are_left_out() -> None:
    assert without_gaps({"a": "", "b": None, "c": 0, "d": []}) == {"c": 0, "d": []}


@given(
    st.integers(-10_000, 10_000),
    st.lists(st.integers(-500, 500), min_size=1, max_size=20),
    st.sampled_from(["EUR", "JPY", "TND"]),
)
def test_parts_add_up_to_the_total_and_are_within_one_unit_of_exact(
    total: int, weights: list[int], currency: str
) -> None:
    least = unit(currency)
    whole, sizes = total * least, [Decimal(weight) for weight in weights]
    parts = spread(whole, sizes, least)
    assert sum(parts) == whole
    assert all(part % least == 0 for part in parts)
    heavy = sum(map(abs, sizes))
    exact = [whole * abs(size) / heavy if heavy else whole / len(sizes) for size in sizes]
    assert all(abs(part - each) < least for part, each in zip(parts, exact, strict=True))


def test_no_weights_give_no_parts() -> None:
    assert spread(Decimal("1.00"), [], Decimal("0.01")) == []
