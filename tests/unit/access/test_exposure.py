"""Ports without protection listen on loopback only or with --insecure, and TLS files work together or are rejected."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.support.certificate import Certificate, certificate, openssl
from tillstream.access import exposure, password
from tillstream.access.keys import Key, Keys, changing_keys
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.errors import AccessError

EVERYWHERE = Settings(host="0.0.0.0")


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


def give_key(directory: DataDirectory, **changes: object) -> None:
    key = Key("1", "0" * 64, "2026-11-24T10:00:00Z", **{"stores": ("12",), **changes})  # type: ignore[arg-type]
    with changing_keys(directory.keys) as (_, keep):
        keep(Keys.of([key]))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_protection(directory: DataDirectory, host: str) -> None:
    assert exposure.check(directory, Settings(host=host)) == ""
    assert not exposure.always_required(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "till.example"])
def test_other_addresses_need_every_protection(directory: DataDirectory, host: str) -> None:
    with pytest.raises(AccessError) as caught:
        exposure.check(directory, Settings(host=host))
    assert str(caught.value) == (
        f"could not listen on {host}: others can reach it, and it has no keys, no password and no TLS; "
        "use `tillstream keys add --store ID`, `tillstream password set` and the settings tls_certificate_file and "
        "tls_key_file, or --insecure"
    )
    assert exposure.always_required(Settings(host=host))


def test_each_port_needs_its_own_protections_only(directory: DataDirectory) -> None:
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


def test_with_all_protections_any_address_is_allowed(directory: DataDirectory, tmp_path: Path) -> None:
    give_key(directory)
    password.write(directory.password, password.create("pain au levain", secrets.token_bytes))
    settings = Settings(host="0.0.0.0", **certificate(tmp_path).settings)
    assert exposure.check(directory, settings) == ""
    assert exposure.always_required(settings)


def test_insecure_gives_a_warning_about_missing_protections(directory: DataDirectory) -> None:
    insecure = Settings(host="0.0.0.0", insecure=True)
    assert exposure.check(directory, insecure) == (
        "warning: on 0.0.0.0 anyone who reaches this machine can post receipts, read receipts and listen in (--insecure)"
    )
    assert not exposure.always_required(insecure)
    assert exposure.always_required(Settings(access="on"))


def test_insecure_with_required_keys_gives_a_warning_about_plain_text_only(
    directory: DataDirectory, tmp_path: Path
) -> None:
    guarded = Settings(host="0.0.0.0", insecure=True, access="on")
    assert exposure.check(directory, guarded) == (
        "warning: on 0.0.0.0 anyone who reaches this machine can listen in (--insecure)"
    )
    assert exposure.always_required(guarded)
    encrypted = Settings(host="0.0.0.0", insecure=True, access="on", **certificate(tmp_path).settings)
    assert exposure.check(directory, encrypted) == ""


def test_unusable_protections_are_refused_on_loopback_too(directory: DataDirectory) -> None:
    directory.password.write_text("{")
    with pytest.raises(AccessError, match="read the password in"):
        exposure.check(directory, Settings())


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def refused(certificate_file: object, key_file: object) -> str:
    with pytest.raises(AccessError) as caught:
        exposure.tls_context(Settings(tls_certificate_file=str(certificate_file), tls_key_file=str(key_file)))
    return str(caught.value)


def test_without_the_settings_there_is_no_tls(own: Certificate) -> None:
    assert exposure.tls_context(Settings()) is None
    assert exposure.tls_context(Settings(**own.settings)) is not None


def test_one_file_alone_is_refused(own: Certificate) -> None:
    assert "set both" in refused(own.certificate, "")
    assert "set both" in refused("", own.key)


def test_a_missing_file_is_named(own: Certificate, tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    assert refused(missing, own.key).startswith(f"could not read the TLS file {missing}: No such file or directory;")
    assert refused(own.certificate, missing).startswith(f"could not read the TLS file {missing}: ")


def test_files_that_are_not_pem_are_refused(own: Certificate, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("hello")
    for pair in ((other, own.key), (own.certificate, other), (own.key, own.certificate)):
        assert "must be PEM" in refused(*pair)


def test_the_key_of_another_certificate_is_refused(own: Certificate, tmp_path: Path) -> None:
    other = certificate(tmp_path)
    assert f"{other.key} is not its key" in refused(own.certificate, other.key)


def test_a_key_with_a_passphrase_is_refused_without_a_prompt(own: Certificate, tmp_path: Path) -> None:
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", own.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    assert "it has a passphrase; remove it: openssl pkey" in refused(own.certificate, locked)
