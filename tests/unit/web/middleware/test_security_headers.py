"""The dashboard's port reads, takes changes from its own pages and from programs only, and loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline


@pytest.fixture
def client(tmp_path: Path) -> Iterator[DashboardClient]:
    pipeline = Pipeline(tmp_path)
    yield DashboardClient(pipeline)
    pipeline.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/v1/summary", "/receipts"])
def test_given_a_method_that_writes_when_asked_then_it_is_refused(
    client: DashboardClient, method: str, path: str
) -> None:
    answer = client.request(path, method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json()["errors"][0]["hint"] == "this port only reads"


CHANGING = (
    "/api/v1/quarantine/1/replay",
    "/api/v1/quarantine/1/discard",
    "/api/v1/quarantine/discard",
    "/quarantine/replay",
)
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_given_another_method_where_something_is_changed_when_asked_then_it_says_so(
    client: DashboardClient, path: str, method: str
) -> None:
    answer = client.request(path, method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "content-type": "application/json"},
        {"sec-fetch-site": "same-site", "origin": "http://dashboard", "content-type": "application/json"},
        {"origin": "http://elsewhere", "content-type": "application/json"},
        {"origin": "http://dashboard:9999", "content-type": FORM},
        {"origin": "null", "content-type": "application/json"},
        {"content-type": FORM},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {},
    ],
)
def test_given_a_page_of_another_site_when_it_posts_then_nothing_is_changed(
    client: DashboardClient, path: str, headers: dict[str, str]
) -> None:
    answer = client.request(path, "POST", headers, b"{}")
    assert (answer.status_code, answer.json()["errors"][0]["error"]) == (403, "it comes from a page of another site")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/quarantine/1/replay", {"content-type": "application/json; charset=utf-8"}, 404),
        ("/api/v1/quarantine/1/replay", {"content-type": "application/json", "sec-fetch-site": "same-origin"}, 404),
        ("/api/v1/quarantine/1/discard", {"content-type": "application/json", "origin": "http://dashboard"}, 404),
        ("/quarantine/discard", {"content-type": FORM, "sec-fetch-site": "same-origin"}, 200),
        ("/quarantine/discard", {"content-type": FORM, "origin": "http://dashboard"}, 200),
    ],
)
def test_given_a_program_or_the_own_page_when_it_posts_then_it_is_answered(
    client: DashboardClient, path: str, headers: dict[str, str], status: int
) -> None:
    content = b"entry=1" if path.startswith("/quarantine") else b"{}"
    assert client.request(path, "POST", headers, content).status_code == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "GET"])
def test_given_another_method_where_something_is_changed_then_it_says_which_one_is_taken(
    client: DashboardClient, method: str
) -> None:
    answer = client.request("/api/v1/quarantine/1/replay", method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_given_the_form_of_the_login_when_it_is_sent_then_it_is_taken(client: DashboardClient) -> None:
    assert client.request("/login", "POST").status_code == 303
    assert client.request("/login", "PUT").status_code == 405


@pytest.mark.parametrize("path", ["/", "/api/v1/summary", "/receipts", "/nope", "/docs"])
def test_given_any_answer_when_read_then_it_allows_no_script_but_its_own_files(
    client: DashboardClient, path: str
) -> None:
    headers = client.request(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in policy["script-src"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-cache"
