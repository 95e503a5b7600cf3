"""Static files are compressed once and sent again only where they changed; other client are compressed as they are."""

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
from tillstream.web.static_files import STATIC, accepts_gzip

PAGE_LIMIT_BYTES = 100_000


@pytest.fixture
def client(tmp_path: Path) -> Iterator[DashboardClient]:
    pipeline = Pipeline(tmp_path)
    yield DashboardClient(pipeline)
    pipeline.close()


def sent(answer: httpx.Response) -> int:
    return int(answer.headers["content-length"])


def test_given_a_browser_when_it_loads_the_page_then_less_than_a_hundred_kilobytes_are_sent(
    client: DashboardClient,
) -> None:
    page = client.request("/")
    assert page.headers["content-encoding"] == "gzip"
    total = sent(page)
    for path in set(re.findall(r'<(?:script|link)[^>]* (?:src|href)="([^"]+)"', page.text)):
        answer = client.request(path)
        assert answer.status_code == 200, path
        total += sent(answer)
    assert 20_000 < total < PAGE_LIMIT_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_given_a_file_when_asked_again_with_its_etag_then_nothing_of_it_is_sent(
    client: DashboardClient, encoding: str
) -> None:
    accept = {"Accept-Encoding": encoding}
    first = client.request("/assets/style.css", headers=accept)
    assert first.text == (STATIC / "style.css").read_text(encoding="utf-8")
    assert first.headers["cache-control"] == "no-cache"
    etag = first.headers["etag"]
    assert ("gzip" in etag) is (encoding == "gzip")
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = client.request("/assets/style.css", headers={**accept, "If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = client.request("/assets/style.css", headers={**accept, "If-None-Match": '"other"'})
    assert (changed.status_code, changed.text) == (200, first.text)


def test_given_a_file_when_asked_twice_then_it_is_compressed_once(
    client: DashboardClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed: list[int] = []

    def counting(body: bytes, *level: Any, **more: Any) -> bytes:
        compressed.append(len(body))
        return gzip_compress(body, *level, **more)

    gzip_compress = gzip.compress
    monkeypatch.setattr(gzip, "compress", counting)
    static_files._load.cache_clear()
    assert len({client.request("/assets/style.css").text for _ in range(2)}) == len(compressed) == 1


def test_given_a_client_without_gzip_when_it_asks_then_it_gets_plain_text(client: DashboardClient) -> None:
    for path in ("/assets/style.css", "/", "/api/v1/metrics"):
        answer = client.request(path, headers={"Accept-Encoding": "identity"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers, path


def test_given_answers_that_change_when_asked_then_they_are_compressed_too(client: DashboardClient) -> None:
    for path in ("/api/v1/metrics", "/receipts", "/"):
        answer = client.request(path)
        assert answer.headers["content-encoding"] == "gzip", path
        assert answer.headers["vary"].lower() == "accept-encoding"


@pytest.mark.parametrize("path", ["/assets/none.css", "/assets/", "/assets/..%2fserver.py", "/docs/files/none.js"])
def test_given_a_file_that_is_not_there_when_asked_then_it_is_not_found(client: DashboardClient, path: str) -> None:
    assert client.request(path).status_code == 404


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("", False),
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP ; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
    ],
)
def test_given_an_accept_encoding_when_asked_then_it_says_whether_gzip_may_come(accepted: str, taken: bool) -> None:
    assert accepts_gzip(accepted) is taken
