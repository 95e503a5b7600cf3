"""Every setting once: its name, type, default, unit and help. The command line, the environment, the
TOML file and the docs all derive from `Settings`."""

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
    """The settings of every role. A unit stands last in the name where there is one."""

    data: Annotated[str, "directory that holds the log and the database"] = "tillstream-data"
    host: Annotated[str, "address to listen on; loopback unless told otherwise"] = "127.0.0.1"
    ingest_port: Annotated[int, Meta(ge=0, le=65535), "port that takes receipts"] = 3000
    dashboard_port: Annotated[int, Meta(ge=0, le=65535), "port of the dashboard and the query API"] = 8050
    inbox: Annotated[str, "folder whose files are imported as they come; empty: none"] = ""

    access: Annotated[
        str, Meta(pattern="^(auto|on)$"), "auto: a port asks for keys or the password once there are any; on: always"
    ] = "auto"
    keys_file: Annotated[
        str, "file of the API keys, for several ingests that share it; empty: one in the data directory"
    ] = ""
    shops_file: Annotated[
        str, "file of the list of shops, for roles on several machines that share it; empty: one in the data directory"
    ] = ""
    ingest_url: Annotated[
        str, "address at which receipts are posted, where ingest is on other machines than the engine; empty: its own"
    ] = ""
    ingest_key_file: Annotated[
        str, "file that holds an API key for every store, with which the engine replays quarantine to ingest_url"
    ] = ""
    proxies: Annotated[
        list[str], "addresses or networks of proxies, besides this machine's, that say who asks the dashboard"
    ] = []
    session_hours: Annotated[int, Positive, "how long a login to the dashboard lasts"] = 720
    tls_certificate_file: Annotated[str, "PEM file: certificate, then its chain, for HTTPS on both ports"] = ""
    tls_key_file: Annotated[str, "PEM file: the certificate's private key, without a passphrase"] = ""
    insecure: Annotated[bool, "listen beyond loopback without keys, password and TLS"] = False

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$"), "the chain's one currency, ISO 4217"] = "EUR"
    zone: Annotated[str, "the chain's time zone, by its IANA name"] = "Europe/Paris"
    store_zones: Annotated[
        dict[str, str], "time zones of the stores that stand in another one; wins over the list of shops"
    ] = {}
    day_start: Annotated[
        str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$"), "local time at which a business day begins"
    ] = "00:00"
    vat_rates: Annotated[list[str], "VAT rates in percent that are normal; empty: any"] = []

    body_limit_bytes: Annotated[int, Positive, "largest body of one request, decompressed"] = 32 * 1024 * 1024
    receipt_limit_bytes: Annotated[int, Positive, "largest single receipt"] = 1024 * 1024
    batch_limit_receipts: Annotated[int, Positive, "most receipts in one request"] = 50_000
    store_limit_receipts_per_s: Annotated[
        int, Meta(ge=0), "receipts a second that one store may send before ingest answers 429; 0: any number"
    ] = 0
    header_limit_bytes: Annotated[int, Meta(ge=8192), "largest header block of one request"] = 65_536
    header_timeout_ms: Annotated[int, Positive, "longest wait for the headers of a request"] = 10_000
    body_timeout_ms: Annotated[int, Positive, "longest wait for the body of a request"] = 30_000
    connection_limit: Annotated[int, Positive, "connections that ingest serves at a time"] = 4_096
    pending_limit_bytes: Annotated[int, Positive, "bytes that may wait for the disk before ingest answers 503"] = (
        128 * 1024 * 1024
    )
    commit_limit_receipts: Annotated[int, Positive, Meta(le=65_536), "most receipts in one group commit"] = 4_096
    commit_linger_ms: Annotated[
        int, Meta(ge=0, le=1_000), "how long a commit waits for company while little comes; 0: never"
    ] = 30
    log_limit_bytes: Annotated[int, Meta(ge=0), "size at which the log is full; 0: when the disk is"] = 0
    disk_reserve_bytes: Annotated[int, Meta(ge=0), "free disk that ingest leaves to others"] = 64 * 1024 * 1024

    log: Annotated[str, Meta(pattern="^(sqlite|rabbitmq)$"), "what keeps the log: sqlite or rabbitmq"] = "sqlite"
    rabbitmq_url: Annotated[str, "address of the broker, with user, password and virtual host; amqps for TLS"] = (
        "amqp://guest:guest@127.0.0.1:5672/%2F"
    )
    rabbitmq_trusted_user: Annotated[
        str, "broker user of ingest, whose times and keys the engine believes; empty: the user of rabbitmq_url"
    ] = ""
    rabbitmq_partitions: Annotated[int, Meta(ge=1, le=64), "streams that receipts are spread over, by store"] = 4
    rabbitmq_readers: Annotated[
        int, Meta(ge=1, le=65), "connections that the engine reads the streams over, each its share of them"
    ] = 1
    rabbitmq_retention_bytes: Annotated[
        int, NotNegative, "size from which the broker drops the oldest of a stream; 0: never"
    ] = 0
    rabbitmq_retention_age_s: Annotated[
        int, NotNegative, "age from which the broker drops the oldest of a stream; 0: never"
    ] = 0
    rabbitmq_segment_bytes: Annotated[int, Meta(ge=1_000), "size of a stream's files"] = 100_000_000

    engine_batch_receipts: Annotated[int, Positive, "most receipts that the engine folds in one commit"] = 10_000
    engine_interval_ms: Annotated[int, Positive, "least time between two commits of the engine"] = 300
    store_memory_bytes: Annotated[int, Positive, "memory that the database may use"] = 768 * 1024 * 1024
    engine_memory_bytes: Annotated[int, Positive, "memory that the engine's own folding may use"] = 256 * 1024 * 1024
    quarantine_limit_bytes: Annotated[int, Positive, "refused input that is kept; the oldest goes first"] = (
        256 * 1024 * 1024
    )
    live_interval_ms: Annotated[int, Meta(ge=1, le=5_000), "least time between two updates of the live feed"] = 600

    alert_silent_chain_minutes: Annotated[
        int, NotNegative, "alert: nothing from the whole chain in its usual hours; 0: off"
    ] = 5
    alert_lag_seconds: Annotated[int, NotNegative, "alert: figures so far behind what is acknowledged; 0: off"] = 30
    alert_silent_shop_minutes: Annotated[int, NotNegative, "alert: nothing from a shop while it is open; 0: off"] = 20
    alert_silent_till_minutes: Annotated[
        int, NotNegative, "alert: nothing from a till while its shop sells; 0: off"
    ] = 45
    alert_silent_product_minutes: Annotated[
        int, NotNegative, "alert: nobody sells a product while the chain sells; 0: off"
    ] = 60
    alert_below_pace_percent: Annotated[int, Percent, "alert: a shop's revenue so far below its usual; 0: off"] = 30
    alert_refund_percent: Annotated[int, Percent, "alert: refunds among a shop's receipts of today; 0: off"] = 5
    alert_quarantine_per_hour: Annotated[int, NotNegative, "alert: entries that come to quarantine; 0: off"] = 20
    alert_anomaly_percent: Annotated[
        int, Percent, "alert: receipts with an anomaly among those of the last hour; 0: off"
    ] = 5
    alert_webhook_url: Annotated[str, "address that alerts are posted to as they fire and clear; empty: none"] = ""
    alert_webhook_timeout_ms: Annotated[int, Positive, "longest wait for an answer of the webhook"] = 5_000
    alert_page_url: Annotated[
        str, "address of the page as people reach it, for links in what is posted; empty: the dashboard's own"
    ] = ""

    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$"), "least level that is logged"] = "info"
    log_format: Annotated[str, Meta(pattern="^(text|json)$"), "form of the program's own log lines"] = "text"

    metrics: Annotated[list[dict[str, Any]], "metrics of your own (TOML only; see docs/metrics.md)"] = []

    @property
    def data_path(self) -> Path:
        return Path(self.data)

    @property
    def tls(self) -> bool:
        return bool(self.tls_certificate_file)


@cache
def _annotations() -> dict[str, Any]:
    """Evaluated once: every option of every verb asks, which was most of each start."""
    return get_type_hints(Settings, include_extras=True)


def describe(name: str) -> str:
    """The one-line help of a setting."""
    return next(part for part in get_args(_annotations()[name]) if isinstance(part, str))


def plain_type(name: str) -> Any:
    """The type of a setting, its annotations taken off: `str`, `int`, `dict[str, str]`…"""
    annotation = _annotations()[name]
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def default(name: str) -> Any:
    return getattr(Settings(), name)


def load(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Defaults, then the TOML file, then `TILLSTREAM_…` variables, then flags (None: not given).

    Raises `SettingsError` that names the setting, where it came from and what it should be.
    """
    given, origin = _gather(file, environment, flags)
    for name, value in given.items():
        given[name] = _convert(name, value, origin[name])
    settings = Settings(**given)
    _check(settings, origin)
    return settings


def origins(
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Where `load` takes each setting from that is not left at its default. Raises `SettingsError`."""
    return _gather(file, environment, flags)[1]


def _gather(
    file: Path | None, environment: Mapping[str, str] | None, flags: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The raw values given, and where each of them was given last."""
    given: dict[str, Any] = {}
    origin: dict[str, str] = {}

    def take(values: Mapping[str, Any], where: str) -> None:
        for name, value in values.items():
            if name not in Settings.__struct_fields__:
                raise SettingsError("use the setting", f"{name} of {where}", "there is none of that name", _hint())
            given[name] = value
            origin[name] = where

    if file is not None:
        take(_read(file), str(file))
    variables = os.environ if environment is None else environment
    take(
        {
            name: variables[ENVIRONMENT_PREFIX + name.upper()]
            for name in Settings.__struct_fields__
            if ENVIRONMENT_PREFIX + name.upper() in variables
        },
        "the environment",
    )
    take({name: value for name, value in (flags or {}).items() if value is not None}, "the command line")
    return given, origin


def _hint() -> str:
    return "see `tillstream settings` for all of them"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SettingsError("read the settings file", file, error.strerror or error, "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("read the settings file", file, error, "it must be TOML") from error


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
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(
                "use the setting",
                f"{name} of {origin.get(name, 'the defaults')}",
                f"{zone!r} is no time zone",
                "use an IANA name such as Europe/Paris",
            ) from error
    for name in ("alert_webhook_url", "alert_page_url", "ingest_url"):
        _check_address(name, getattr(settings, name), origin)
    _check_broker(settings.rabbitmq_url, origin)
    for proxy in settings.proxies:
        _check_network(proxy, origin)
    for rate in settings.vat_rates:
        if not _RATE.fullmatch(rate):
            raise SettingsError(
                "use the setting",
                f"vat_rates of {origin.get('vat_rates', 'the defaults')}",
                f"{rate!r} is no rate in percent",
                'write ["5.5", "10", "20"]',
            )


def _check_network(proxy: str, origin: Mapping[str, str]) -> None:
    try:
        ip_network(proxy)
    except ValueError as error:
        raise SettingsError(
            "use the setting",
            f"proxies of {origin.get('proxies', 'the defaults')}",
            f"{proxy!r} is no address and no network",
            'write ["10.0.0.7", "192.168.0.0/24"]',
        ) from error


def _check_broker(address: str, origin: Mapping[str, str]) -> None:
    """Refuse what is no address of a broker; it is not repeated, for it holds a password."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("amqp", "amqps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise SettingsError(
            "use the setting",
            f"rabbitmq_url of {origin.get('rabbitmq_url', 'the defaults')}",
            "it is no address of amqp or amqps",
            "write it like amqps://user:password@broker.example.org/shops",
        )


def shown(name: str, value: Any) -> Any:
    """A value as it may stand on a screen: without the password of the broker."""
    return _PASSWORD.sub(r"\1***@", value) if name == "rabbitmq_url" else value


def _check_address(name: str, address: str, origin: Mapping[str, str]) -> None:
    """Refuse what is no address. It is not repeated: a webhook's path is a secret."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        plain = parts.username is None and address.isascii() and address.isprintable() and " " not in address
    except ValueError:
        right = plain = False
    if address and not (right and plain):
        raise SettingsError(
            "use the setting",
            f"{name} of {origin.get(name, 'the defaults')}",
            "it is no address of http or https" if not right else "it has a user, a space or a special sign in it",
            "write it like https://example.org/path",
        )
