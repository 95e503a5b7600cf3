"""Templates escape every value and share the base page; the API documentation loads nothing from other servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tillstream.http import html

PAGE = """{% extends "base.html" %}{% block title %}{{ title }}{% endblock %}{% block body %}{{ text }}{% endblock %}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    return tmp_path


def test_a_page_extends_the_base_page_and_its_values_stay_text(folder: Path) -> None:
    page = html.environment(folder, language="fr", title="<T>").get_template("page.html").render(text="<b>")
    assert page.startswith('<!doctype html>\n<html lang="fr">')
    assert "<title>&lt;T&gt;</title>" in page
    assert "&lt;b&gt;" in page


def test_a_missing_value_is_an_error(folder: Path) -> None:
    with pytest.raises(UndefinedError):
        html.environment(folder).get_template("page.html").render(title="")


def test_given_the_docs_page_when_opened_then_all_it_loads_is_served_here(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    client = DashboardClient(pipeline)
    page = client.request("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(loaded) == 4
    for path in loaded:
        assert path.startswith("/")
        assert client.request(path).status_code == 200, path
    assert "/openapi.json" in client.request("/docs/start.js").text
    pipeline.close()
