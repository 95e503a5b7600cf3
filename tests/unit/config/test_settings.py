"""Settings come from defaults, a file, variables and flags, in this order; invalid values are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tillstream.config import settings
from tillstream.config.settings import Settings, is_zone
from tillstream.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tillstream.toml"


def test_without_any_value_the_defaults_apply() -> None:
    assert settings.load(None, {}, {}) == (Settings(), {})


def test_a_flag_overrides_a_variable_which_overrides_the_file(file: Path) -> None:
    file.write_text('zone = "Europe/Rome"\ncurrency = "CHF"\ningest_port = 1\n')
    environment = {"TILLSTREAM_INGEST_PORT": "2", "TILLSTREAM_CURRENCY": "USD", "OTHER": "x"}
    flags = {"ingest_port": 3, "data": None}
    loaded, origins = settings.load(file, environment, flags)
    assert (loaded.zone, loaded.currency, loaded.ingest_port, loaded.data) == (
        "Europe/Rome",
        "USD",
        3,
        settings.default("data"),
    )
    assert origins == {
        "zone": str(file),
        "currency": "the environment",
        "ingest_port": "the command line",
    }


@pytest.mark.parametrize("name", Settings.__struct_fields__)
def test_every_setting_has_a_help_a_type_and_a_default(name: str) -> None:
    assert settings.describe(name)
    assert settings.plain_type(name) is not None
    settings.default(name)


def test_lists_and_pairs_are_read_from_text_and_toml(file: Path) -> None:
    file.write_text('vat_rates = ["5.5", "10"]\n[store_zones]\n7 = "Europe/London"\n')
    environment = {"TILLSTREAM_VAT_RATES": "5.5, 10", "TILLSTREAM_STORE_ZONES": "7=Europe/London"}
    assert settings.load(file, {}, {})[0] == settings.load(None, environment, {})[0]


def test_custom_metrics_are_passed_on_unchanged(file: Path) -> None:
    file.write_text('[[metrics]]\nname = "x"\nkeys = ["day"]\n')
    assert settings.load(file, {}, {})[0].metrics == [{"name": "x", "keys": ["day"]}]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"speed": 1}, "speed of the command line: it does not exist"),
        ({"ingest_port": 70_000}, "ingest_port of the command line: Expected `int` <= 65535"),
        ({"ingest_port": "many"}, "ingest_port of the command line: Expected `int`"),
        ({"currency": "euro"}, "currency of the command line"),
        ({"day_start": "25:00"}, "day_start of the command line"),
        ({"log_level": "loud"}, "log_level of the command line"),
        ({"zone": "Mars"}, "zone of the command line: 'Mars' is not a time zone"),
        ({"store_zones": "7=Mars"}, "store_zones of the command line: 'Mars' is not a time zone"),
        ({"body_limit_bytes": 0}, "body_limit_bytes of the command line"),
        ({"alert_refund_percent": 101}, "alert_refund_percent of the command line"),
        ({"alert_lag_seconds": -1}, "alert_lag_seconds of the command line"),
        ({"alert_webhook_url": "ftp://example.org/x"}, "alert_webhook_url of the command line: it is not an"),
        ({"alert_webhook_url": "https://"}, "alert_webhook_url of the command line: it is not an"),
        ({"alert_webhook_url": "http://x:99999/"}, "alert_webhook_url of the command line: it is not an"),
        ({"alert_webhook_url": "http://me:pass@x/"}, "alert_webhook_url of the command line: it contains a user"),
        ({"alert_webhook_url": "http://x/a b"}, "alert_webhook_url of the command line: it contains a user, a space"),
        ({"log": "paper"}, "log of the command line"),
        ({"rabbitmq_partitions": 65}, "rabbitmq_partitions of the command line"),
        ({"rabbitmq_url": "http://broker/"}, "rabbitmq_url of the command line: it is not an amqp or amqps address"),
        ({"rabbitmq_url": "amqp://"}, "rabbitmq_url of the command line: it is not an"),
        ({"rabbitmq_url": "amqp://x:99999/"}, "rabbitmq_url of the command line: it is not an"),
        ({"ingest_url": "example.org"}, "ingest_url of the command line: it is not an"),
        ({"proxies": "10.0.0.1/8"}, "'10.0.0.1/8' is not an address or network"),
        ({"alert_page_url": "example.org"}, "alert_page_url of the command line: it is not an"),
    ],
)
def test_an_invalid_value_is_refused_with_the_setting_and_its_origin(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(None, {}, flags)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["zone = ", "\xff"])
def test_a_file_that_is_not_toml_is_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="latin-1")
    with pytest.raises(SettingsError, match="it must be a TOML file"):
        settings.load(file, {}, {})


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(SettingsError, match="No such file or directory; check the path"):
        settings.load(file, {}, {})


def test_the_error_about_a_webhook_address_does_not_repeat_the_secret_path() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load(None, {}, {"alert_webhook_url": "htp://example.org/t0ken"})
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:9/x?y=1", "https://example.org/hook"])
def test_http_and_https_addresses_are_accepted(address: str) -> None:
    assert settings.load(None, {}, {"alert_webhook_url": address})[0].alert_webhook_url == address


def test_the_password_of_the_broker_is_neither_shown_nor_repeated() -> None:
    assert settings.shown("rabbitmq_url", "amqps://till:s3cr3t@broker:5671/shop") == "amqps://till:***@broker:5671/shop"
    assert settings.shown("rabbitmq_url", "amqp://broker/") == "amqp://broker/"
    assert settings.shown("zone", "a:b@c") == "a:b@c"
    with pytest.raises(SettingsError) as caught:
        settings.load(None, {}, {"rabbitmq_url": "ftp://till:s3cr3t@broker/"})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "valid"), [("Europe/Paris", True), ("Mars", False), ("../etc/passwd", False), ("Europe", False)]
)
def test_a_time_zone_is_an_iana_name(name: str, valid: bool) -> None:
    assert is_zone(name) is valid


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("a", "a"),
        (3, "3"),
        (True, "true"),
        (False, "false"),
        ([], ""),
        (["5.5", "10"], "5.5,10"),
        ({"7": "UTC"}, "7=UTC"),
    ],
)
def test_a_formatted_value_parses_back_equal(value: object, written: str) -> None:
    assert settings.text(value) == written
