"""Amounts, tables and forms as every plain page writes them."""

from __future__ import annotations

import pytest

from tillstream.dashboard.html import filled, form, money, more, shell, table


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234567.80", "EUR", "€1,234,567.80"),
        ("-3.20", "EUR", "−€3.20"),
        ("0.00", "USD", "$0.00"),
        ("1200", "JPY", "¥1,200"),
        ("1.250", "TND", "TND 1.250"),
        ("99999999999999999.99", "EUR", "€99,999,999,999,999,999.99"),
        (None, "EUR", "–"),
    ],
)
def test_given_an_amount_when_shown_then_no_digit_is_lost(amount: str | None, currency: str, shown: str) -> None:
    assert money(amount, currency) == shown


def test_given_no_rows_when_a_table_is_written_then_it_says_so() -> None:
    assert table(("One",), [], "Nothing.") == '<p class="note">Nothing.</p>'


def test_given_hostile_values_when_a_form_is_written_then_they_stay_text() -> None:
    written = form("/x", {"store": '"><script>'}, {"store": "text"})
    assert "<script>" not in written
    assert filled({"a": "", "b": "1"}) == {"b": "1"}


def test_given_a_cursor_when_there_is_more_then_the_filters_stay() -> None:
    assert "store=1&amp;cursor=c" in more("/receipts", {"store": "1"}, "c")
    assert more("/receipts", {}, None) == ""


@pytest.mark.parametrize("demo", [True, False])
def test_given_a_demo_when_a_page_is_shown_then_it_says_demo(demo: bool) -> None:
    page = bytes(shell("<Title>", "receipts", "body", demo=demo).body).decode()
    assert ("DEMO" in page) is demo
    assert "&lt;Title&gt;" in page
    assert '<a href="/receipts" class="on">' in page
