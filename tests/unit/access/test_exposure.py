"""Given a host to listen on; when something that protects is missing; then only loopback, or --insecure, goes."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.support.certificate import certificate
from tillstream.access import exposure, key_file, password
from tillstream.access.keys import Key, Keys
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError

EVERYWHERE = Settings(host="0.0.0.0")


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


def give_key(directory: DataDirectory, **changes: object) -> None:
    key = Key("1", "0" * 64, "2026-11-24T10:00:00Z", **{"stores": ("12",), **changes})  # type: ignore[arg-type]
    with key_file.changing(directory.keys) as (_, keep):
        keep(Keys.of([key]))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_on_loopback_nothing_is_needed(directory: DataDirectory, host: str) -> None:
    assert exposure.check(directory, Settings(host=host)) == ""
    assert not exposure.always_required(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "till.example"])
def test_elsewhere_everything_is_needed_and_one_line_says_how(directory: DataDirectory, host: str) -> None:
    with pytest.raises(AccessError) as caught:
        exposure.check(directory, Settings(host=host))
    assert str(caught.value) == (
        f"could not listen on {host}: others can reach it, and it has no keys, no password and no TLS; "
        "use `tillstream keys add --store ID`, `tillstream password set` and the settings tls_certificate_file and "
        "tls_key_file, or --insecure"
    )
    assert exposure.always_required(Settings(host=host))


def test_only_what_is_missing_for_the_port_is_asked_for(directory: DataDirectory) -> None:
    with pytest.raises(AccessError, match="it has no keys and no TLS; use `tillstream keys add --store ID` and the"):
        exposure.check(directory, EVERYWHERE, dashboard=False)
    give_key(directory)
    with pytest.raises(AccessError, match="it has no TLS; use the settings"):
        exposure.check(directory, EVERYWHERE, dashboard=False)
    with pytest.raises(AccessError, match="it has no password and no TLS"):
        exposure.check(directory, EVERYWHERE, ingest=False)


def test_a_key_for_reading_does_not_protect_ingest(directory: DataDirectory) -> None:
    give_key(directory, stores=(), reads=True)
    with pytest.raises(AccessError, match="no keys"):
        exposure.check(directory, EVERYWHERE, dashboard=False)


def test_with_all_three_it_may_listen_anywhere(directory: DataDirectory, tmp_path: Path) -> None:
    give_key(directory)
    password.write(directory.password, password.create("pain au levain", secrets.token_bytes))
    settings = Settings(host="0.0.0.0", **certificate(tmp_path).settings)
    assert exposure.check(directory, settings) == ""
    assert exposure.always_required(settings)


def test_who_insists_is_warned_of_what_is_missing(directory: DataDirectory) -> None:
    insecure = Settings(host="0.0.0.0", insecure=True)
    assert exposure.check(directory, insecure) == (
        "warning: on 0.0.0.0 anyone who reaches this machine can post receipts, read receipts and listen in (--insecure)"
    )
    assert not exposure.always_required(insecure)
    assert exposure.always_required(Settings(access="on"))


def test_who_insists_and_has_keys_always_asked_for_is_warned_of_plain_text_alone(
    directory: DataDirectory, tmp_path: Path
) -> None:
    guarded = Settings(host="0.0.0.0", insecure=True, access="on")
    assert exposure.check(directory, guarded) == (
        "warning: on 0.0.0.0 anyone who reaches this machine can listen in (--insecure)"
    )
    assert exposure.always_required(guarded)
    encrypted = Settings(host="0.0.0.0", insecure=True, access="on", **certificate(tmp_path).settings)
    assert exposure.check(directory, encrypted) == ""


def test_what_is_there_and_cannot_be_used_is_told_on_loopback_too(directory: DataDirectory) -> None:
    directory.password.write_text("{")
    with pytest.raises(AccessError, match="read the password in"):
        exposure.check(directory, Settings())
