"""Every language says all that the pages say, with the same places in each text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.requests import Request

from tillstream.alerts.rules import RULES
from tillstream.receipt.normalization import Normalization
from tillstream.web.pages.i18n import LANGUAGES, english, say, spoken, words
from tillstream.web.pages.live import ASSETS

PYTHON = ASSETS.parent


def forms(text: Any) -> list[str]:
    return list(text.values()) if isinstance(text, dict) else [text]


def places(text: Any) -> set[str]:
    return {place for form in forms(text) for place in re.findall(r"\{(\w+)\}", form)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_given_a_language_then_it_says_what_the_others_say_about_the_same_things(language: str) -> None:
    assert words(language).keys() == words(LANGUAGES[0]).keys()
    for key, text in words(language).items():
        assert places(text) - {"count"} == places(words(LANGUAGES[0])[key]) - {"count"}, key
        assert all(forms(text)), key


def test_given_the_scripts_and_pages_then_every_word_that_they_say_is_there() -> None:
    said: set[str] = set()
    for script in (ASSETS / "page").glob("*.js"):
        said |= set(re.findall(r'\b(?:t|counted)\("([a-z0-9_]*[a-z0-9])"', script.read_text(encoding="utf-8")))
    for module in PYTHON.rglob("*.py"):
        said |= set(re.findall(r'\b(?:tell|word|english)\("([a-z0-9_]+)"', module.read_text(encoding="utf-8")))
    assert len(said) > 80
    assert said <= words("en").keys()


def test_given_a_count_then_its_form_is_the_languages_own() -> None:
    assert say("en", "other_days", count=0, number="0").startswith("0 receipts")
    assert say("fr", "other_days", count=0, number="0").startswith("0 ticket arrivé")
    assert say("en", "other_days", count=1, number="1").startswith("1 receipt arrived")
    assert say("fr", "sales_of", day="<lundi>") == "Ventes du <lundi>"
    assert english("receipts") == "Receipts"


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
def test_given_a_request_then_it_is_answered_in_the_language_it_asks_for(
    query: str, cookie: str, accepted: str, language: str
) -> None:
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accepted.encode())]
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})
    assert spoken(request) == language


def test_given_the_rules_of_the_alerts_then_each_has_its_words_with_what_it_tells() -> None:
    for rule in RULES:
        told = {"title", "since", *rule.values}
        for key in (f"alert_{rule.name}_title", f"alert_{rule.name}"):
            assert places(words("en")[key]) <= told, key


def test_given_the_anomalies_then_each_has_its_words() -> None:
    names = re.findall(r"THEN '(\w+)' END", Normalization(2, ("5.5",))._anomalies())
    assert len(names) == 7
    assert {f"anomaly_{name}" for name in names} <= words("en").keys()
