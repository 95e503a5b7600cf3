"""The live page: complete, local, in both languages, and with a command that works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient, queries_of
from tests.inprocess.pipeline import Pipeline
from tillstream.access.sessions import COOKIE
from tillstream.config.settings import Settings
from tillstream.web.i18n import localizer
from tillstream.web.pages.live import TILES, example_curl
from tillstream.web.static_files import STATIC


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path)
    yield pipeline
    pipeline.close()


def test_given_the_page_when_loaded_then_every_file_is_served_here(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    page = client.request("/").text
    loaded = re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page)
    assert len(loaded) > 8
    for path in loaded:
        assert path.startswith("/"), path
        assert client.request(path).status_code == 200, path


@pytest.mark.parametrize(
    "place", ["/regions/Bretagne", "/shops/12", "/shops/12/tills/1", "/categories/Pain", "/products/a%2Fb"]
)
def test_given_a_part_of_the_chain_when_its_address_is_opened_then_it_is_the_page(
    pipeline: Pipeline, place: str
) -> None:
    client = DashboardClient(pipeline)
    assert '<script type="module" src="/assets/page/main.js">' in client.request(place).text
    assert client.request(f"{place}/nothing/else").status_code == 404


def test_given_a_demo_when_the_page_is_shown_then_it_has_a_ribbon(pipeline: Pipeline) -> None:
    assert "DEMO" in DashboardClient(pipeline, demo=True).request("/").text
    assert "DEMO" not in DashboardClient(pipeline).request("/").text


def test_given_the_scripts_then_the_page_has_each_element_that_they_use_once(pipeline: Pipeline) -> None:
    ids = re.findall(r'\bid="([^"]+)"', DashboardClient(pipeline).request("/").text)
    elements = (STATIC / "page" / "elements.js").read_text(encoding="utf-8")
    used = re.findall(r'^  "?([a-z-]+)"?: "', elements, re.MULTILINE)
    assert len(used) > 40
    assert set(used) | {f"tile-{name}" for name in TILES} <= set(ids)
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_given_a_language_when_the_page_is_asked_for_then_its_texts_are_rendered_in_it(
    pipeline: Pipeline, language: str
) -> None:
    page = DashboardClient(pipeline).request("/", lang=language).text
    assert f'<html lang="{language}">' in page
    keys = re.findall(r'data-i18n(?:-title|-label)?="(\w+)"', page)
    assert len(keys) > 30
    assert set(keys) <= localizer(language).messages.keys()
    assert localizer(language).text("sales_by_category") in page


def test_given_a_session_then_the_page_lets_one_log_out(pipeline: Pipeline) -> None:
    client = DashboardClient(pipeline)
    assert 'action="/logout"' in client.request("/", headers={"Cookie": f"{COOKIE}=x"}).text
    assert 'action="/logout"' not in client.request("/").text


def test_given_an_ingest_port_when_the_example_is_shown_then_it_posts_a_receipt_of_now_there(
    pipeline: Pipeline,
) -> None:
    command = example_curl(queries_of(pipeline), Settings(ingest_port=4321))
    assert "http://localhost:4321/receipt" in command
    receipt = json.loads(re.search(r"-d '(.*)'", command)[1])  # type: ignore[index]
    assert receipt["date"] == "2026-11-23 12:00:00"
    assert receipt["documentTotal"] == {"grossTotal": 4.15}
    assert "Authorization" not in command


def test_given_keys_and_tls_when_the_example_is_shown_then_it_says_so(pipeline: Pipeline) -> None:
    settings = Settings(ingest_port=4321, tls_certificate_file="c", tls_key_file="k")
    command = example_curl(queries_of(pipeline), settings, keyed=True)
    assert command.startswith("curl https://localhost:4321/receipt ")
    assert "\\\n  -H 'Authorization: Bearer KEY' \\\n  -d '" in command


def test_given_an_ingest_elsewhere_when_the_example_is_shown_then_it_posts_there(pipeline: Pipeline) -> None:
    command = example_curl(queries_of(pipeline), Settings(ingest_url="https://receipts.example.org/"))
    assert command.startswith("curl https://receipts.example.org/receipt ")


def test_given_the_assets_when_read_then_none_names_another_host() -> None:
    for file in filter(Path.is_file, STATIC.rglob("*")):
        urls = re.findall(r"https?://[^\s\"')]+", file.read_text(encoding="utf-8"))
        assert set(urls) <= {"http://www.w3.org/2000/svg"}, file.name
