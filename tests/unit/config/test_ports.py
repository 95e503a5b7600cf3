"""A port is free or refused with one line, and a host is loopback or not."""

from __future__ import annotations

import socket

import pytest

from tillstream.config.ports import address, ensure_free, free_port, is_loopback, names_this_machine
from tillstream.errors import OperationalError, PortTaken


def test_a_port_without_a_listener_is_free() -> None:
    ensure_free("127.0.0.1", free_port("127.0.0.1"), "--port")
    ensure_free("127.0.0.1", 0, "--port")


def test_a_free_port_differs_from_the_excluded_ones() -> None:
    asked: list[object] = []

    class TheFirst(set[object]):
        def __contains__(self, port: object) -> bool:
            asked.append(port)
            return len(asked) == 1

    port = free_port("127.0.0.1", other_than=TheFirst())
    assert port == asked[1]


def test_a_port_with_a_listener_is_taken_even_if_the_listener_shares_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            ensure_free("127.0.0.1", port, "--ingest-port")
    assert str(caught.value) == (
        f"could not listen on 127.0.0.1:{port}: another program already listens there; "
        "stop it, or choose another port with --ingest-port"
    )


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(OperationalError, match=r"could not listen on 192\.0\.2\.1:0: "):
        ensure_free("192.0.2.1", 0, "--port")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("till.example", "http://till.example:80"),
    ],
)
def test_an_address_is_formatted_as_a_url(host: str, url: str) -> None:
    assert address(host, 80) == url
    assert address(host, 80, tls=True) == url.replace("http://", "https://")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
    ],
)
def test_only_loopback_addresses_are_loopback(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize(
    ("header", "own"),
    [
        ("127.0.0.1:8050", True),
        ("[::1]:8050", True),
        ("192.0.2.1", True),
        ("localhost", True),
        ("LOCALHOST:8050", True),
        ("dashboard.localhost:8050", True),
        ("", True),
        ("shop.example:8050", False),
        ("localhost.example", False),
        ("127.0.0.1.example:80", False),
        ("[::1", False),
        ("127.0.0.1@shop.example", False),
        ("shop.example@127.0.0.1", False),
    ],
)
def test_only_addresses_and_localhost_are_safe_host_names(header: str, own: bool) -> None:
    assert names_this_machine(header) is own
