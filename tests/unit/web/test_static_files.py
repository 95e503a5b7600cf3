"""Files go over the wire once and small; what changes is compressed as it goes, the live feed by itself."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tillstream.web import static_files
from tillstream.web.pages.live import ASSETS
from tillstream.web.static_files import FOR_EVER

PAGE_LIMIT_BYTES = 2_000_000


@pytest.fixture
def client(tmp_path: Path) -> Iterator[DashboardClient]:
    pipeline = Pipeline(tmp_path)
    yield DashboardClient(pipeline)
    pipeline.close()


def versioned(client: DashboardClient) -> str:
    """A file with its version in the name, as Dash writes it."""
    return next(part for part in client.request("/").text.split('"') if "dash_renderer.v" in part)


def sent(answer: httpx.Response) -> int:
    return int(answer.headers["content-length"])


def test_given_a_browser_when_it_loads_the_page_then_less_than_two_megabytes_are_sent(client: DashboardClient) -> None:
    page = client.request("/")
    assert page.headers["content-encoding"] == "gzip"
    total = sent(page)
    for path in re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page.text):
        answer = client.request(path)
        assert answer.status_code == 200, path
        total += sent(answer)
    assert 50_000 < total < PAGE_LIMIT_BYTES


def test_given_a_file_that_names_its_version_when_asked_then_it_is_kept_for_a_year(client: DashboardClient) -> None:
    answer = client.request(versioned(client))
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == FOR_EVER
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "javascript" in answer.headers["content-type"]
    assert sent(answer) < len(answer.content) / 3
    assert "script-src" in answer.headers["content-security-policy"]


def test_given_another_file_when_asked_again_with_its_etag_then_nothing_of_it_is_sent(client: DashboardClient) -> None:
    first = client.request("/assets/style.css")
    assert first.text == (ASSETS / "style.css").read_text(encoding="utf-8")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.request("/assets/style.css", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = client.request("/assets/style.css", headers={"If-None-Match": '"other"'})
    assert (changed.status_code, changed.text) == (200, first.text)


def test_given_a_file_when_asked_twice_then_it_is_compressed_once(
    client: DashboardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[int] = []

    def counting(body: bytes, *level: Any, **more: Any) -> bytes:
        packed.append(len(body))
        return gzip_compress(body, *level, **more)

    gzip_compress = gzip.compress
    monkeypatch.setattr(gzip, "compress", counting)
    path = versioned(client)
    packed.clear()
    other = re.sub(r"m(\d+)\.", r"m1\1.", path)
    assert other != path
    assert len({client.request(each).text for each in (path, other)}) == len(packed) == 1


def test_given_a_client_without_gzip_when_it_asks_then_it_gets_plain_text(client: DashboardClient) -> None:
    for path in ("/assets/style.css", "/", "/api/v1/metrics"):
        answer = client.request(path, headers={"Accept-Encoding": "identity"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers, path


def test_given_answers_that_change_when_asked_then_they_are_compressed_too(client: DashboardClient) -> None:
    for path in ("/api/v1/metrics", "/receipts", "/_dash-layout"):
        answer = client.request(path)
        assert answer.headers["content-encoding"] == "gzip", path
        assert "accept-encoding" in answer.headers["vary"].lower()


def test_given_a_part_of_a_file_or_one_that_is_not_there_when_asked_then_the_answer_goes_on_as_it_is(
    client: DashboardClient,
) -> None:
    part = client.request("/assets/style.css", headers={"Range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)
    assert client.request("/assets/none.css").status_code == 404


def test_given_no_room_for_another_file_when_asked_then_it_is_sent_and_not_kept(
    client: DashboardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_files, "KEPT_LIMIT_BYTES", 10)
    answer = client.request("/assets/style.css")
    assert answer.text == (ASSETS / "style.css").read_text(encoding="utf-8")
    assert "content-encoding" not in answer.headers
