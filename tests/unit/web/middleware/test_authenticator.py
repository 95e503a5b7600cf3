"""Given a password, keys and a token; when somebody asks; then they are let in or not."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest
from starlette.requests import Request

from tests.inprocess.access import PASSWORD, add_key, set_password
from tillstream.access import machine_token, password
from tillstream.access.sessions import COOKIE
from tillstream.clock import ManualClock
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.web.middleware.authenticator import Authenticator

NOW_US = 1_795_435_200_000_000


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


def authenticator(directory: DataDirectory, clock: ManualClock, **settings: object) -> Authenticator:
    return Authenticator.of(directory, Settings(**settings), clock, secrets.token_bytes)  # type: ignore[arg-type]


def request(client: str = "127.0.0.1", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": named, "client": (client, 5_000)})


def bearer(text: str) -> Request:
    return request(authorization=f"Bearer {text}")


def test_without_a_password_everybody_comes_in(directory: DataDirectory, clock: ManualClock) -> None:
    for each in (Authenticator.open(), authenticator(directory, clock)):
        assert (each.is_required, each.has_password, each.allows(request())) == (False, False, True)


def test_without_a_password_no_name_that_others_could_have_given_leads_in(
    directory: DataDirectory, clock: ManualClock
) -> None:
    named = request(host="shop.example:8050")
    open_one = authenticator(directory, clock)
    assert [open_one.has_foreign_name(each) for each in (named, request(host="localhost:8050"), request())] == [
        *(True, False, False)
    ]
    assert not Authenticator.open().has_foreign_name(named)
    assert not authenticator(directory, clock, insecure=True).has_foreign_name(named)
    set_password(directory)
    assert not authenticator(directory, clock).has_foreign_name(named)


def test_where_one_is_required_nobody_does_until_it_is_set(directory: DataDirectory, clock: ManualClock) -> None:
    guarded = authenticator(directory, clock, host="0.0.0.0")
    assert (guarded.is_required, guarded.has_password, guarded.allows(request())) == (True, False, False)
    assert asyncio.run(guarded.log_in(request(), PASSWORD)) == ""
    assert guarded.allows(bearer(machine_token.token(directory, secrets.token_bytes)))


def test_the_password_opens_a_session_that_ends(directory: DataDirectory, clock: ManualClock) -> None:
    set_password(directory)
    guarded = authenticator(directory, clock, session_hours=1)
    assert asyncio.run(guarded.log_in(request(), "croissant")) == ""
    token = asyncio.run(guarded.log_in(request(), PASSWORD))
    inside = request(cookie=f"{COOKIE}={token}")
    assert guarded.session_s == 3_600
    assert guarded.allows(inside)
    assert not guarded.allows(request(cookie=f"{COOKIE}={token}x"))
    assert not guarded.allows(request(cookie=f"{COOKIE}={'x' * 1_000}"))
    clock.advance(3_600)
    assert not guarded.allows(inside)


def test_who_leaves_has_to_log_in_again(directory: DataDirectory, clock: ManualClock) -> None:
    set_password(directory)
    guarded = authenticator(directory, clock)
    inside = request(cookie=f"{COOKIE}={asyncio.run(guarded.log_in(request(), PASSWORD))}")
    assert guarded.allows(inside)
    asyncio.run(guarded.log_out(inside))
    assert not guarded.allows(inside)


def test_only_a_key_for_reading_and_the_machines_token_come_in(directory: DataDirectory, clock: ManualClock) -> None:
    set_password(directory)
    reading, posting = add_key(directory, reads=True), add_key(directory, "12")
    guarded = authenticator(directory, clock)
    assert guarded.ingest_requires_key
    assert guarded.allows(bearer(reading))
    assert guarded.allows(request(x_api_key=reading))
    assert guarded.allows(bearer(machine_token.token(directory, secrets.token_bytes)))
    assert not guarded.allows(bearer(posting))
    assert not guarded.allows(bearer(PASSWORD))
    assert not guarded.allows(bearer(""))


def test_a_password_set_or_changed_elsewhere_counts_within_a_second(
    directory: DataDirectory, clock: ManualClock
) -> None:
    guarded = authenticator(directory, clock)
    set_password(directory)
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert not guarded.allows(request())
    inside = request(cookie=f"{COOKIE}={asyncio.run(guarded.log_in(request(), PASSWORD))}")
    assert guarded.allows(inside)
    set_password(directory, "tarte aux pommes")
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert not guarded.allows(inside)
    password.clear(directory.password)
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert guarded.allows(request())


def test_tries_are_counted_by_address_and_forgiven_to_who_knows(directory: DataDirectory, clock: ManualClock) -> None:
    set_password(directory)
    guarded = authenticator(directory, clock)
    for _ in range(10):
        assert guarded.wait_s(request()) == 0
    assert guarded.wait_s(request()) > 0
    assert guarded.wait_s(request(client="192.0.2.1")) == 0
    asyncio.run(guarded.log_in(request(), PASSWORD))
    assert guarded.wait_s(request()) == 0


@pytest.mark.parametrize(("client", "encrypted"), [("127.0.0.1", True), ("192.0.2.1", True), ("192.0.2.2", False)])
def test_only_known_proxies_are_believed(
    directory: DataDirectory, clock: ManualClock, client: str, encrypted: bool
) -> None:
    guarded = authenticator(directory, clock, proxies=["192.0.2.1"])
    asked = request(client=client, x_forwarded_proto="https", x_forwarded_for="198.51.100.4")
    assert guarded.is_encrypted(asked) == encrypted
    assert guarded.client_address(asked) == ("198.51.100.4" if encrypted else client)


def test_with_tls_of_its_own_every_request_is_encrypted() -> None:
    assert Authenticator(None, tls=True).is_encrypted(request(client="192.0.2.1"))
