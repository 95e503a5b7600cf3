"""Amounts, tables and forms as every plain page writes them."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from tillstream.errors import BadQuery
from tillstream.web.pages.html import Teller, facts, filters_of, table

EN, FR = Teller("en", demo=False), Teller("fr", demo=False)


@pytest.mark.parametrize(
    ("amount", "currency", "english", "french"),
    [
        ("1234567.80", "EUR", "€1,234,567.80", "1\u202f234\u202f567,80\u00a0€"),
        ("-3.20", "EUR", "−€3.20", "−3,20\u00a0€"),
        ("0.00", "USD", "$0.00", "0,00\u00a0$"),
        ("1200", "JPY", "¥1,200", "1\u202f200\u00a0¥"),
        ("1.250", "TND", "TND 1.250", "1,250\u00a0TND"),
        ("99999999999999999.99", "EUR", "€99,999,999,999,999,999.99", "99\u202f999\u202f999\u202f999\u202f999\u202f999,99\u00a0€"),
        (None, "EUR", "–", "–"),
    ],
)  # fmt: skip
def test_given_an_amount_when_shown_then_no_digit_is_lost(
    amount: str | None, currency: str, english: str, french: str
) -> None:
    assert EN.money(amount, currency) == english
    assert FR.money(amount, currency) == french


def test_given_who_logged_in_when_a_page_is_shown_then_it_lets_them_leave() -> None:
    page = bytes(Teller("en", demo=False, leaves=True).page("Title", "receipts", "").body).decode()
    assert '<form class="leave" action="/logout" method="post"><button class="pill">Log out</button></form>' in page
    assert "/logout" not in bytes(EN.page("Title", "receipts", "").body).decode()


def test_given_no_rows_when_a_table_is_written_then_it_says_so() -> None:
    assert table(("One",), [], "Nothing.") == '<p class="note">Nothing.</p>'
    assert facts([("a", "1")]) == "<dt>a</dt><dd>1</dd>"


def test_given_hostile_values_when_a_form_is_written_then_they_stay_text() -> None:
    written = EN.form("/x", {"store": '"><script>'}, {"store": "text"})
    assert "<script>" not in written


def test_given_empty_fields_and_a_language_when_a_form_is_sent_then_the_filters_are_what_was_filled_in() -> None:
    request = Request({"type": "http", "query_string": b"day=&store=%3Cb%3E&lang=fr", "headers": []})
    assert filters_of(request, {"day": "", "store": ""}) == {"store": "<b>"}
    with pytest.raises(BadQuery, match="store"):
        filters_of(request, {"day": ""})


def test_given_a_cursor_when_there_is_more_then_the_filters_stay() -> None:
    assert "store=1&amp;cursor=c" in EN.more("/receipts", {"store": "1"}, "c")
    assert EN.more("/receipts", {}, None) == ""


@pytest.mark.parametrize("demo", [True, False])
def test_given_a_demo_when_a_page_is_shown_then_it_says_demo(demo: bool) -> None:
    page = bytes(Teller("fr", demo=demo).page("<Title>", "receipts", "body").body).decode()
    assert ("DEMO" in page) is demo
    assert "&lt;Title&gt;" in page
    assert '<html lang="fr">' in page
    assert '<a href="/receipts" aria-current=page>Tickets</a>' in page
