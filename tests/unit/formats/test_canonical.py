"""Amounts are exact, dates are local, the parts of a total add up to it, and names become fields in any letter case."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillstream.config.settings import Settings
from tillstream.formats.canonical import (
    Field,
    Members,
    amount,
    amount_json,
    encode,
    find_field,
    local_date,
    receipt_json,
    spread,
    text_json,
    unit,
    without_gaps,
)


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
    amount_sum, sizes = total * least, [Decimal(weight) for weight in weights]
    parts = spread(amount_sum, sizes, least)
    assert sum(parts) == amount_sum
    assert all(part % least == 0 for part in parts)
    heavy = sum(map(abs, sizes))
    exact = [amount_sum * abs(size) / heavy if heavy else amount_sum / len(sizes) for size in sizes]
    assert all(abs(part - each) < least for part, each in zip(parts, exact, strict=True))


def test_no_weights_give_no_parts() -> None:
    assert spread(Decimal("1.00"), [], Decimal("0.01")) == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("cashReceiptID", Field("", "cashReceiptID", known=True)),
        ("CASHRECEIPTID", Field("", "cashReceiptID", known=True)),
        ("grossTotal", Field("documentTotal", "grossTotal", amount=True, known=True)),
        ("documenttotal.GROSSTOTAL", Field("documentTotal", "grossTotal", amount=True, known=True)),
        ("lines.quantity", Field("lines", "quantity", amount=True, known=True)),
        ("lines.lineNumber", Field("lines", "lineNumber", known=True)),
        ("settlements.paymentMechanism", Field("settlements", "paymentMechanism", known=True)),
        ("lines.Colour", Field("lines", "Colour")),
        ("Colour", Field("", "Colour")),
        ("a.b", Field("", "a.b")),
        ("quantity", Field("", "quantity")),
        ("lines", None),
        ("Settlements.", None),
        ("documentTotal", None),
    ],
)
def test_a_name_is_resolved_to_a_field(path: str, found: Field | None) -> None:
    assert find_field(path) == found


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2.40", "2.40"),
        ("-0.1", "-0.1"),
        ("2,40", "2.40"),
        ("1,500", "1.500"),
        (" -,5 ", "-0.5"),
        ("+7", "7"),
        ("007.50", "7.50"),
        ("3.", "3"),
        (".0000001", "0.0000001"),
        ("", ""),
        ("  ", ""),
        ("1.234,50", '"1.234,50"'),
        ("1,2,3", '"1,2,3"'),
        ("1e2", '"1e2"'),
        ("NaN", '"NaN"'),
        ("\u0661", '"\u0661"'),
        ('5"', '"5\\""'),
    ],
)
def test_an_amount_keeps_its_digits_and_other_text_stays_text(text: str, written: str) -> None:
    assert amount_json(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1,5", "1.5"),
        ("1,50", "1.50"),
        ("0,500", "0.500"),
        ("1234,500", "1234.500"),
        ("1,5000", "1.5000"),
        ("1,500", '"1,500"'),
        ("-12,345", '"-12,345"'),
        ("1.5", "1.5"),
    ],
)
def test_an_ambiguous_comma_stays_text(text: str, written: str) -> None:
    assert amount_json(text, comma_may_group=True) == written


@pytest.mark.parametrize("text", ["Pain", 'a"b\\c', "tab\tnul\x00", "é\u2028\U0001f956", " "])
def test_a_text_reads_back_equal(text: str) -> None:
    assert json.loads(text_json(text)) == text


def test_the_cache_of_members_is_bounded() -> None:
    seen: list[str] = []

    def write(text: str) -> str:
        seen.append(text)
        return text_json(text)

    values = Members(Field("", "a"), write, 3)
    assert [values["x"], values["x"], values[""], values["y" * 100], values["y" * 100]] == [
        '"a":"x",',
        '"a":"x",',
        "",
        f'"a":"{"y" * 100}",',
        f'"a":"{"y" * 100}",',
    ]
    assert seen == ["x", "", "y" * 100, "y" * 100]
    for number in range(100):
        values[str(number)]
    assert len(values) <= 3


def test_a_receipt_has_only_its_own_parts() -> None:
    made = receipt_json(
        '"a":"1",', '"grossTotal":1.50,', ['"quantity":1,', '"quantity":2,"b":"x",'], ['"settlementAmount":1,']
    )
    assert json.loads(made, parse_float=Decimal) == {
        "a": "1",
        "documentTotal": {"grossTotal": Decimal("1.50")},
        "lines": [{"quantity": 1}, {"quantity": 2, "b": "x"}],
        "settlements": [{"settlementAmount": 1}],
    }
    assert receipt_json("", "", [], []) == b"{}"
    assert receipt_json("", "", [], ['"a":1,']) == b'{"settlements":[{"a":1}]}'
