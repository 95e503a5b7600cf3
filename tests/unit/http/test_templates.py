"""Templates escape every value, fail on a missing one, and share the base page."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tillstream.http import templates

PAGE = """{% extends "base.html" %}{% block title %}{{ title }}{% endblock %}{% block body %}{{ text }}{% endblock %}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    return tmp_path


def test_a_page_extends_the_base_page_and_its_values_stay_text(folder: Path) -> None:
    page = templates.environment(folder, language="fr", title="<T>").get_template("page.html").render(text="<b>")
    assert page.startswith('<!doctype html>\n<html lang="fr">')
    assert "<title>&lt;T&gt;</title>" in page
    assert "&lt;b&gt;" in page


def test_a_missing_value_is_an_error(folder: Path) -> None:
    with pytest.raises(UndefinedError):
        templates.environment(folder).get_template("page.html").render(title="")
