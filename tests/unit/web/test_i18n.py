"""Every language has all messages, with the same placeholders, and formats values as the browser does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from tillstream.alerts.rules import RULES
from tillstream.receipt.normalization import Normalization
from tillstream.web.i18n import LANGUAGES, language_of, localizer
from tillstream.web.pages.rendering import TEMPLATES
from tillstream.web.static_files import STATIC

FORMATS = json.loads((Path(__file__).parents[2] / "fixtures" / "formatting.json").read_text(encoding="utf-8"))
EN, FR = localizer("en"), localizer("fr")


def forms(text: Any) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def placeholders(text: Any) -> set[str]:
    return {name for form in forms(text) for name in re.findall(r"\{(\w+)\}", form)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_given_a_language_then_it_has_the_messages_and_placeholders_of_the_others(language: str) -> None:
    messages = localizer(language).messages
    assert messages.keys() == EN.messages.keys()
    for key, text in messages.items():
        assert placeholders(text) - {"count"} == placeholders(EN.messages[key]) - {"count"}, key
        assert all(forms(text)), key


def test_given_the_scripts_and_templates_then_every_message_that_they_use_is_there() -> None:
    used: set[str] = set()
    for script in (STATIC / "page").glob("*.js"):
        used |= set(re.findall(r'\b(?:t|counted)\("([a-z0-9_]*[a-z0-9])"', script.read_text(encoding="utf-8")))
    for template in TEMPLATES.glob("*.html"):
        used |= set(re.findall(r'\b(?:t|i18n)\("([a-z0-9_]*[a-z0-9])"[,)]', template.read_text(encoding="utf-8")))
    assert len(used) > 80
    assert used <= EN.messages.keys()


def test_given_a_count_then_the_message_has_the_plural_form_of_its_language() -> None:
    assert EN.text("other_days", count=0, number="0").startswith("0 receipts")
    assert FR.text("other_days", count=0, number="0").startswith("0 ticket arrivé")
    assert FR.text("other_days", count=1_000_000, number="1").startswith("1 tickets arrivés")
    assert EN.text("other_days", count=1, number="1").startswith("1 receipt arrived")
    assert FR.text("sales_of", day="<lundi>") == "Ventes du <lundi>"


@pytest.mark.parametrize("language", LANGUAGES)
def test_given_values_when_formatted_then_they_are_written_as_in_the_browser(language: str) -> None:
    local = localizer(language)
    for each in FORMATS["money"]:
        assert local.money(each["value"], each["currency"]) == each[language]
    for each in FORMATS["count"]:
        assert local.count(each["value"]) == each[language]
    for each in FORMATS["date"]:
        assert local.day(each["value"]) == each[language]


def test_given_an_amount_when_formatted_then_no_digit_is_lost() -> None:
    assert EN.money("99999999999999999.99", "EUR") == "€99,999,999,999,999,999.99"
    assert EN.money("1.250", "TND") == "TND\u00a01.250"
    assert EN.money(None, "EUR") == "–"
    assert EN.price("0.0125", "EUR") == "€0.0125"
    assert FR.price("2", "EUR") == "2,00\u00a0€"


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "language"),
    [
        ("", "", "", "en"),
        ("", "", "de, fr;q=0.8", "fr"),
        ("", "lang=en", "fr", "en"),
        ("lang=fr", "lang=en", "en", "fr"),
        ("lang=xx", "lang=yy", "zz", "en"),
    ],
)
def test_given_a_request_then_it_is_answered_in_the_language_that_it_asks_for(
    query: str, cookie: str, accepted: str, language: str
) -> None:
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accepted.encode())]
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})
    assert language_of(request) == language


def test_given_the_rules_of_the_alerts_then_each_has_its_messages_with_its_values() -> None:
    for rule in RULES:
        values = {"title", "since", *rule.values}
        for key in (f"alert_{rule.name}_title", f"alert_{rule.name}"):
            assert placeholders(EN.messages[key]) <= values, key


def test_given_the_anomalies_then_each_has_its_message() -> None:
    names = re.findall(r"THEN '(\w+)' END", Normalization(2, ("5.5",))._anomalies())
    assert len(names) == 7
    assert {f"anomaly_{name}" for name in names} <= EN.messages.keys()
