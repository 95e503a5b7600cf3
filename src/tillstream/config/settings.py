"""The settings: name, type, default, unit and help of each, declared once in `Settings`.

The command line, the environment, the TOML file and the docs derive from it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from tillstream.errors import SettingsError

ENVIRONMENT_PREFIX = "TILLSTREAM_"

Positive = Meta(ge=1)
NotNegative = Meta(ge=0)
Percent = Meta(ge=0, le=100)

_PASSWORD = re.compile(r"(//[^:/@]*:)[^@]*@")
_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of every role. A name ends with its unit, if it has one."""

    data: Annotated[str, "directory that holds the log and the database"] = "tillstream-data"
    host: Annotated[str, "address to listen on; the default is loopback"] = "127.0.0.1"
    ingest_port: Annotated[int, Meta(ge=0, le=65535), "port for receipts"] = 3000
    dashboard_port: Annotated[int, Meta(ge=0, le=65535), "port of the dashboard and the query API"] = 8050
    inbox: Annotated[str, "folder whose files are imported as they arrive; empty: none"] = ""

    access: Annotated[
        str, Meta(pattern="^(auto|on)$"), "auto: require keys or the password once any exists; on: always"
    ] = "auto"
    keys_file: Annotated[str, "file of the API keys, to share it between ingests; empty: in the data directory"] = ""
    shops_file: Annotated[
        str, "file of the list of stores, to share it between machines; empty: in the data directory"
    ] = ""
    ingest_url: Annotated[
        str, "address of ingest if it runs on other machines than the engine; empty: the local ingest"
    ] = ""
    ingest_key_file: Annotated[
        str, "file with an API key for all stores; the engine uses it to replay quarantine to ingest_url"
    ] = ""
    proxies: Annotated[
        list[str], "addresses or networks of proxies whose forwarding headers the dashboard trusts, besides loopback"
    ] = []
    session_hours: Annotated[int, Positive, "lifetime of a login to the dashboard"] = 720
    tls_certificate_file: Annotated[str, "PEM file: certificate, then its chain, for HTTPS on both ports"] = ""
    tls_key_file: Annotated[str, "PEM file: the certificate's private key, without a passphrase"] = ""
    insecure: Annotated[bool, "listen on other addresses than loopback without keys, password and TLS"] = False

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$"), "the chain's one currency, ISO 4217"] = "EUR"
    zone: Annotated[str, "the chain's time zone (IANA name)"] = "Europe/Paris"
    store_zones: Annotated[
        dict[str, str], "time zones of stores that differ from the chain's; overrides the list of stores"
    ] = {}
    day_start: Annotated[
        str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$"), "local time at which a business day begins"
    ] = "00:00"
    vat_rates: Annotated[list[str], "valid VAT rates in percent; empty: any"] = []

    body_limit_bytes: Annotated[int, Positive, "largest request body, decompressed"] = 32 * 1024 * 1024
    receipt_limit_bytes: Annotated[int, Positive, "largest single receipt"] = 1024 * 1024
    batch_limit_receipts: Annotated[int, Positive, "maximum receipts in one request"] = 50_000
    store_limit_receipts_per_s: Annotated[
        int, Meta(ge=0), "receipts per second of one store before ingest answers 429; 0: unlimited"
    ] = 0
    header_limit_bytes: Annotated[int, Meta(ge=8192), "largest header block of a request"] = 65_536
    header_timeout_ms: Annotated[int, Positive, "longest wait for the headers of a request"] = 10_000
    body_timeout_ms: Annotated[int, Positive, "longest wait for the body of a request"] = 30_000
    connection_limit: Annotated[int, Positive, "maximum simultaneous connections of ingest"] = 4_096
    pending_limit_bytes: Annotated[int, Positive, "receipt bytes in memory before ingest answers 503"] = (
        128 * 1024 * 1024
    )
    commit_limit_receipts: Annotated[int, Positive, Meta(le=65_536), "maximum receipts in one group commit"] = 4_096
    commit_linger_ms: Annotated[
        int, Meta(ge=0, le=1_000), "how long a group commit waits for more receipts at low rates; 0: never"
    ] = 30
    log_limit_bytes: Annotated[int, Meta(ge=0), "size at which the log counts as full; 0: only the disk limits it"] = 0
    disk_reserve_bytes: Annotated[int, Meta(ge=0), "free disk space that ingest leaves unused"] = 64 * 1024 * 1024

    log: Annotated[str, Meta(pattern="^(sqlite|rabbitmq)$"), "backend of the log: sqlite or rabbitmq"] = "sqlite"
    rabbitmq_url: Annotated[str, "address of the broker, with user, password and virtual host; amqps for TLS"] = (
        "amqp://guest:guest@127.0.0.1:5672/%2F"
    )
    rabbitmq_trusted_user: Annotated[
        str, "broker user of ingest, whose message headers the engine trusts; empty: the user of rabbitmq_url"
    ] = ""
    rabbitmq_partitions: Annotated[int, Meta(ge=1, le=64), "number of streams; receipts are distributed by store"] = 4
    rabbitmq_readers: Annotated[int, Meta(ge=1, le=65), "connections over which the engine reads the streams"] = 1
    rabbitmq_retention_bytes: Annotated[
        int, NotNegative, "stream size above which the broker drops the oldest messages; 0: never"
    ] = 0
    rabbitmq_retention_age_s: Annotated[
        int, NotNegative, "age after which the broker drops messages of a stream; 0: never"
    ] = 0
    rabbitmq_segment_bytes: Annotated[int, Meta(ge=1_000), "size of a stream's segment files"] = 100_000_000

    engine_batch_receipts: Annotated[int, Positive, "maximum receipts in one commit of the engine"] = 10_000
    engine_interval_ms: Annotated[int, Positive, "minimum time between two commits of the engine"] = 300
    store_memory_bytes: Annotated[int, Positive, "memory limit of the database"] = 768 * 1024 * 1024
    engine_memory_bytes: Annotated[int, Positive, "memory limit of the engine's folding"] = 256 * 1024 * 1024
    quarantine_limit_bytes: Annotated[int, Positive, "size of the quarantine; the oldest entries are dropped first"] = (
        256 * 1024 * 1024
    )
    live_interval_ms: Annotated[int, Meta(ge=1, le=5_000), "minimum time between two updates of the live feed"] = 600

    alert_silent_chain_minutes: Annotated[
        int, NotNegative, "alert: no receipt from the whole chain during its usual hours; 0: off"
    ] = 5
    alert_lag_seconds: Annotated[
        int, NotNegative, "alert: figures this far behind the acknowledged receipts; 0: off"
    ] = 30
    alert_silent_shop_minutes: Annotated[int, NotNegative, "alert: no receipt from an open shop; 0: off"] = 20
    alert_silent_till_minutes: Annotated[
        int, NotNegative, "alert: no receipt from a till while its shop sells; 0: off"
    ] = 45
    alert_silent_product_minutes: Annotated[
        int, NotNegative, "alert: no sale of a product while the chain sells; 0: off"
    ] = 60
    alert_below_pace_percent: Annotated[int, Percent, "alert: a shop's revenue this far below its baseline; 0: off"] = (
        30
    )
    alert_refund_percent: Annotated[int, Percent, "alert: share of refunds in a shop's receipts of today; 0: off"] = 5
    alert_quarantine_per_hour: Annotated[int, NotNegative, "alert: new quarantine entries; 0: off"] = 20
    alert_anomaly_percent: Annotated[int, Percent, "alert: share of anomalous receipts in the last hour; 0: off"] = 5
    alert_webhook_url: Annotated[str, "address to which alerts are posted when they fire and clear; empty: none"] = ""
    alert_webhook_timeout_ms: Annotated[int, Positive, "longest wait for an answer from the webhook"] = 5_000
    alert_page_url: Annotated[
        str, "public address of the dashboard, for links in posted alerts; empty: its local address"
    ] = ""

    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$"), "minimum log level"] = "info"
    log_format: Annotated[str, Meta(pattern="^(text|json)$"), "format of the log lines"] = "text"

    metrics: Annotated[list[dict[str, Any]], "custom metrics (TOML only; see docs/metrics.md)"] = []

    @property
    def data_path(self) -> Path:
        return Path(self.data)

    @property
    def silent_shop_minutes(self) -> int:
        """Minutes without a receipt after which an open store is silent, also if its alert is off."""
        silent_minutes: int = self.alert_silent_shop_minutes or default("alert_silent_shop_minutes")
        return silent_minutes

    @property
    def tls(self) -> bool:
        return bool(self.tls_certificate_file)


@cache
def _annotations() -> dict[str, Any]:
    """The evaluated annotations. They are cached, because every option of every command reads them."""
    return get_type_hints(Settings, include_extras=True)


def describe(name: str) -> str:
    """The one-line help of a setting."""
    return next(part for part in get_args(_annotations()[name]) if isinstance(part, str))


def plain_type(name: str) -> Any:
    """The type of a setting without annotations: `str`, `int`, `dict[str, str]`…"""
    annotation = _annotations()[name]
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def default(name: str) -> Any:
    return getattr(Settings(), name)


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Load the settings: defaults, overridden by the TOML file, `TILLSTREAM_…` variables and flags (None: not given).

    Raises `SettingsError`, which names the setting, its origin and what is expected.
    """
    values, origin = _gather(file, environment, flags)
    for name, value in values.items():
        values[name] = _convert(name, value, origin[name])
    settings = Settings(**values)
    _check(settings, origin)
    return settings


def origins(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """The origin of each setting that is not left at its default. Raises `SettingsError`."""
    return _gather(file, environment, flags)[1]


def _gather(
    file: Path | None, environment: Mapping[str, str] | None, flags: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The raw values, and the last origin of each."""
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}

    def add(source: Mapping[str, Any], where: str) -> None:
        for name, value in source.items():
            if name not in Settings.__struct_fields__:
                raise SettingsError("use the setting", f"{name} of {where}", "it does not exist", _hint())
            values[name] = value
            origin[name] = where

    if file is not None:
        add(_read(file), str(file))
    variables = os.environ if environment is None else environment
    add(
        {
            name: variables[ENVIRONMENT_PREFIX + name.upper()]
            for name in Settings.__struct_fields__
            if ENVIRONMENT_PREFIX + name.upper() in variables
        },
        "the environment",
    )
    add({name: value for name, value in (flags or {}).items() if value is not None}, "the command line")
    return values, origin


def _hint() -> str:
    return "see `tillstream settings` for the list"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SettingsError("read the settings file", file, error.strerror or error, "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("read the settings file", file, error, "it must be a TOML file") from error


def _convert(name: str, value: Any, where: str) -> Any:
    annotation = _annotations()[name]
    kind = plain_type(name)
    if isinstance(value, str) and get_origin(kind) in (list, dict):
        value = _split(value, kind)
    if kind == list[str] and isinstance(value, list):
        value = [str(item) if isinstance(item, int | Decimal) else item for item in value]
    try:
        return msgspec.convert(value, annotation, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        reason = str(error).split(" - at")[0]
        raise SettingsError(
            "use the setting", f"{name} of {where}", f"{reason}, got {value!r}", f"{name}: {describe(name)}"
        ) from error


def _split(text: str, kind: Any) -> Any:
    items = [item.strip() for item in text.split(",") if item.strip()]
    if get_origin(kind) is dict:
        return dict(item.partition("=")[::2] for item in items)
    return items


def _check(settings: Settings, origin: Mapping[str, str]) -> None:
    for name, zone in [("zone", settings.zone), *(("store_zones", zone) for zone in settings.store_zones.values())]:
        if not is_zone(zone):
            raise _invalid(name, origin, f"{zone!r} is not a time zone", "use an IANA name such as Europe/Paris")
    for name in ("alert_webhook_url", "alert_page_url", "ingest_url"):
        _check_address(name, getattr(settings, name), origin)
    _check_broker(settings.rabbitmq_url, origin)
    for proxy in settings.proxies:
        _check_network(proxy, origin)
    for rate in settings.vat_rates:
        if not _RATE.fullmatch(rate):
            raise _invalid("vat_rates", origin, f"{rate!r} is not a rate in percent", 'write ["5.5", "10", "20"]')


def is_zone(name: str) -> bool:
    """Whether this is the IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _invalid(name: str, origin: Mapping[str, str], because: str, hint: str) -> SettingsError:
    return SettingsError("use the setting", f"{name} of {origin.get(name, 'the defaults')}", because, hint)


def _check_network(proxy: str, origin: Mapping[str, str]) -> None:
    try:
        ip_network(proxy)
    except ValueError as error:
        raise _invalid(
            "proxies", origin, f"{proxy!r} is not an address or network", 'write ["10.0.0.7", "192.168.0.0/24"]'
        ) from error


def _check_broker(address: str, origin: Mapping[str, str]) -> None:
    """Refuse an invalid broker address. The error does not repeat it, because it contains a password."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise _invalid(
            "rabbitmq_url",
            origin,
            "it is not an amqp or amqps address",
            "write it like amqps://user:password@broker.example.org/shops",
        )


def shown(name: str, value: Any) -> Any:
    """A value for display, without the password of the broker."""
    return _PASSWORD.sub(r"\1***@", value) if name == "rabbitmq_url" else value


def _check_address(name: str, address: str, origin: Mapping[str, str]) -> None:
    """Refuse an invalid address. The error does not repeat it, because a webhook's path is a secret."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        plain = parts.username is None and address.isascii() and address.isprintable() and " " not in address
    except ValueError:
        right = plain = False
    if address and not (right and plain):
        raise _invalid(
            name,
            origin,
            "it is not an http or https address" if not right else "it contains a user, a space or a special character",
            "write it like https://example.org/path",
        )
