"""A certificate and its key work together, or are refused with one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.certificate import Certificate, certificate, openssl
from tillstream.access import tls
from tillstream.config.settings import Settings
from tillstream.errors import AccessError


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("tls"))


def refused(certificate_file: object, key_file: object) -> str:
    with pytest.raises(AccessError) as caught:
        tls.context(Settings(tls_certificate_file=str(certificate_file), tls_key_file=str(key_file)))
    return str(caught.value)


def test_without_the_settings_there_is_no_tls(own: Certificate) -> None:
    assert tls.context(Settings()) is None
    assert tls.context(Settings(**own.settings)) is not None


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
