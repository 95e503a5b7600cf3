"""Names become fields in any letter case, and texts become JSON without changing a digit."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from tillstream.formats.fields import (
    REQUIRED,
    Field,
    Members,
    amount_json,
    find_field,
    receipt_json,
    shorten,
    text_json,
    unambiguous_amount_json,
)


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


def test_required_fields_are_known() -> None:
    for path in REQUIRED:
        found = find_field(path)
        assert found is not None
        assert (found.known, found.path) == (True, path)


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
    assert unambiguous_amount_json(text) == written


@pytest.mark.parametrize("text", ["Pain", 'a"b\\c', "tab\tnul\x00", "é\u2028\U0001f956", " "])
def test_a_text_reads_back_equal(text: str) -> None:
    assert json.loads(text_json(text)) == text


def test_the_cache_of_members_is_bounded() -> None:
    seen: list[str] = []

    def write(text: str) -> str:
        seen.append(text)
        return text_json(text)

    values = Members(Field("", "a"), write, 50_000)
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


def test_a_long_text_is_shortened() -> None:
    assert (shorten("a" * 60), shorten("a" * 61)) == ("a" * 60, "a" * 60 + "…")
