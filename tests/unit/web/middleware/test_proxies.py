"""Given headers that say where a request came from; then they are believed of this machine's proxies and of those named."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from tillstream.web.middleware.proxies import Proxies


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
