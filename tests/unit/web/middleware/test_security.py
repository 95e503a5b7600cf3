"""The port of the dashboard reads, accepts changes from its own pages and from programs, and trusts known proxies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import Request

from tests.inprocess.dashboard import DashboardClient
from tests.inprocess.pipeline import Pipeline
from tillstream.web.middleware.security import Proxies


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


def request(client: str = "127.0.0.1", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": named, "client": (client, 5_000)})


def test_a_proxy_on_this_machine_speaks_for_whom_it_names_last() -> None:
    proxies = Proxies()
    assert proxies.client_address(request(x_forwarded_for="10.0.0.1, 192.0.2.7")) == "192.0.2.7"
    assert proxies.client_address(request(client="192.0.2.1", x_forwarded_for="10.0.0.1")) == "192.0.2.1"
    assert proxies.client_address(request()) == "127.0.0.1"


@pytest.mark.parametrize("client", ["10.1.2.3", "192.0.2.1", "2001:db8::7"])
def test_one_elsewhere_does_only_where_it_is_named(client: str) -> None:
    asked = request(client=client, x_forwarded_for="198.51.100.4", x_forwarded_proto="https")
    named = Proxies(["10.1.0.0/16", "192.0.2.1", "2001:db8::/64"])
    assert (named.client_address(asked), named.is_encrypted(asked)) == ("198.51.100.4", True)
    assert (Proxies().client_address(asked), Proxies().is_encrypted(asked)) == (client, False)
    other = request(client="10.2.0.1", x_forwarded_for="198.51.100.4", x_forwarded_proto="https")
    assert (named.client_address(other), named.is_encrypted(other)) == ("10.2.0.1", False)


def test_who_has_no_address_is_nobody() -> None:
    nameless = request(client="testclient", x_forwarded_for="198.51.100.4")
    assert Proxies(["0.0.0.0/0"]).client_address(nameless) == "testclient"
    unknown = Request({"type": "http", "method": "GET", "path": "/", "headers": [], "client": None})
    assert (Proxies().client_address(unknown), Proxies().is_encrypted(unknown)) == ("", False)


@pytest.mark.parametrize(
    ("proto", "encrypted"), [("https", True), ("http", False), ("https, http", False), ("", False)]
)
def test_it_says_whether_the_browser_came_by_https(proto: str, encrypted: bool) -> None:
    asked = request(x_forwarded_proto=proto) if proto else request()
    assert Proxies().is_encrypted(asked) == encrypted
