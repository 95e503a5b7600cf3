"""Given the login page; when it is shown; then it brings all that it needs, and leads nowhere else."""

from __future__ import annotations

import re

import pytest
from starlette.requests import Request

from tillstream.web.pages.login import own_address, page


def asked(language: str = "en") -> Request:
    return Request({"type": "http", "headers": [(b"accept-language", language.encode())], "query_string": b""})


def text(problem: str = "", language: str = "en", wanted: str = "/", **values: int) -> str:
    return bytes(page(asked(language), wanted, problem, 200, **values).body).decode()


def test_it_loads_nothing_from_anywhere() -> None:
    shown = text()
    assert re.findall(r'(?:src|href)="(?!data:)', shown) == []
    assert "prefers-color-scheme: dark" in shown
    assert "<script" not in shown


@pytest.mark.parametrize(("language", "title"), [("en", "Log in"), ("fr-FR", "Connexion")])
def test_it_speaks_the_browsers_language(language: str, title: str) -> None:
    shown = text(language=language)
    assert f'<html lang="{language[:2]}">' in shown
    assert f"<h1>{title}</h1>" in shown
    assert 'autocomplete="current-password"' in shown


def test_a_problem_is_told_and_read_out() -> None:
    assert 'role="alert"' not in text()
    shown = text("wrong_password")
    assert '<p class="bad" id="problem" role="alert">That is not the password.</p>' in shown
    assert 'aria-describedby="problem"' in shown
    assert "Try again in 1 second." in text("too_many_attempts", count=1)


def test_where_one_wants_to_go_is_escaped() -> None:
    assert 'value="/&#34;&gt;&lt;script&gt;"' in text(wanted='/"><script>')


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/shops/12?day=2026-11-24", "/shops/12?day=2026-11-24"),
        ("", "/"),
        ("https://example.org/", "/"),
        ("//example.org/", "/"),
        ("/\\example.org/", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("/login?next=/", "/"),
        ("/logout", "/"),
    ],
)
def test_nobody_is_led_elsewhere(wanted: str, led: str) -> None:
    assert own_address(wanted) == led
