"""The settings. The class `Settings` declares the name, type, default and help of each setting.

A value comes from a TOML file, an environment variable or a command-line option. An option overrides a variable,
and a variable overrides the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
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

CONFIG_VARIABLE = "TILLSTREAM_CONFIG"
"""Environment variable with the path of the TOML file."""

TOML_ONLY = frozenset({"metrics"})
"""Settings that only the TOML file can contain."""

MIB = 1024 * 1024
ZONE_HINT = "use an IANA name such as Europe/Paris"

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
TimeOfDay = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Percent = Annotated[int, Meta(ge=0, le=100)]
Port = Annotated[int, Meta(ge=0, le=65535)]

_PASSWORD = re.compile(r"(//[^:/@]*:)[^@]*@")
_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of all processes and commands. If a value has a unit, the name of the setting ends with the unit."""

    data: Annotated[str, "directory that holds the log and the database"] = "tillstream-data"
    host: Annotated[str, "address to listen on; the default is loopback"] = "127.0.0.1"
    ingest_port: Annotated[Port, "port for receipts"] = 3000
    dashboard_port: Annotated[Port, "port of the dashboard and its API"] = 8050
    inbox: Annotated[str, "folder from which new files are imported; empty: none"] = ""

    access: Annotated[
        str, Meta(pattern="^(auto|on)$"), "auto: require keys or the password if they exist; on: always"
    ] = "auto"
    keys_file: Annotated[str, "shared file of the API keys; empty: in the data directory"] = ""
    shops_file: Annotated[str, "shared file of the list of stores; empty: in the data directory"] = ""
    ingest_url: Annotated[str, "URL of ingest on other machines; empty: the ingest of the data directory"] = ""
    ingest_key_file: Annotated[str, "file with an API key for all stores, for replays to ingest_url"] = ""
    proxies: Annotated[list[str], "addresses or networks of trusted reverse proxies, besides loopback"] = []
    session_hours: Annotated[Positive, "lifetime of a session of the dashboard"] = 720
    tls_certificate_file: Annotated[str, "PEM file with the certificate and its chain, for HTTPS on both ports"] = ""
    tls_key_file: Annotated[str, "PEM file with the certificate's private key, without a passphrase"] = ""
    insecure: Annotated[bool, "allow other addresses than loopback without keys, password and TLS"] = False

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$"), "currency of the chain, ISO 4217"] = "EUR"
    zone: Annotated[str, "time zone of the chain, IANA name"] = "Europe/Paris"
    store_zones: Annotated[dict[str, str], "time zones of single stores; overrides the list of stores"] = {}
    day_start: Annotated[TimeOfDay, "local time at which a business day begins"] = "00:00"
    vat_rates: Annotated[list[str], "valid VAT rates in percent; empty: all"] = []

    body_limit_bytes: Annotated[Positive, "maximum size of a request body after decompression"] = 32 * MIB
    receipt_limit_bytes: Annotated[Positive, "maximum size of a receipt"] = MIB
    batch_limit_receipts: Annotated[Positive, "maximum number of receipts in a request"] = 50_000
    store_limit_receipts_per_s: Annotated[Count, "rate of a store above which ingest answers 429; 0: no limit"] = 0
    header_limit_bytes: Annotated[int, Meta(ge=8192), "maximum size of the headers of a request"] = 65_536
    header_timeout_ms: Annotated[Positive, "maximum wait for the headers of a request"] = 10_000
    body_timeout_ms: Annotated[Positive, "maximum wait for the body of a request"] = 30_000
    connection_limit: Annotated[Positive, "maximum number of connections to ingest"] = 4_096
    pending_limit_bytes: Annotated[Positive, "memory for receipts in ingest; above it ingest answers 503"] = 128 * MIB
    commit_limit_receipts: Annotated[Positive, Meta(le=65_536), "maximum number of receipts in a group commit"] = 4_096
    commit_linger_ms: Annotated[
        int, Meta(ge=0, le=1_000), "maximum wait of a group commit for receipts; 0: no wait"
    ] = 30
    log_limit_bytes: Annotated[Count, "maximum size of the log; 0: the size of the disk"] = 0
    disk_reserve_bytes: Annotated[Count, "free disk space that ingest never uses"] = 64 * MIB

    log: Annotated[str, Meta(pattern="^(sqlite|rabbitmq)$"), "backend of the log: sqlite or rabbitmq"] = "sqlite"
    rabbitmq_url: Annotated[str, "URL of the broker; amqps for TLS"] = "amqp://guest:guest@127.0.0.1:5672/%2F"
    rabbitmq_trusted_user: Annotated[
        str, "broker user whose message headers the engine trusts; empty: the user of rabbitmq_url"
    ] = ""
    rabbitmq_partitions: Annotated[int, Meta(ge=1, le=64), "number of streams; each store writes to one of them"] = 4
    rabbitmq_readers: Annotated[int, Meta(ge=1, le=65), "number of connections on which the engine reads streams"] = 1
    rabbitmq_retention_bytes: Annotated[Count, "size of a stream above which old messages are dropped; 0: no limit"] = 0
    rabbitmq_retention_age_s: Annotated[Count, "maximum age of a message before the broker drops it; 0: no limit"] = 0
    rabbitmq_segment_bytes: Annotated[int, Meta(ge=1_000), "maximum size of a segment file of a stream"] = 100_000_000

    engine_batch_receipts: Annotated[Positive, "maximum number of receipts in a commit of the engine"] = 10_000
    engine_interval_ms: Annotated[Positive, "minimum time between two commits of the engine"] = 300
    store_memory_bytes: Annotated[Positive, "memory limit of DuckDB for the database"] = 768 * MIB
    engine_memory_bytes: Annotated[Positive, "memory limit of DuckDB for the engine's computations"] = 256 * MIB
    quarantine_limit_bytes: Annotated[Positive, "maximum size of the quarantine; old entries are dropped"] = 256 * MIB
    live_interval_ms: Annotated[int, Meta(ge=1, le=5_000), "minimum time between two updates of the live feed"] = 600

    alert_silent_chain_minutes: Annotated[Count, "alert: time without a receipt in the chain's usual hours; 0: off"] = 5
    alert_lag_seconds: Annotated[
        Count, "alert: time for which acknowledged receipts are missing from the figures; 0: off"
    ] = 30
    alert_silent_shop_minutes: Annotated[Count, "alert: time without a receipt from an open shop; 0: off"] = 20
    alert_silent_till_minutes: Annotated[
        Count, "alert: time without a receipt from a till while its shop sells; 0: off"
    ] = 45
    alert_silent_product_minutes: Annotated[
        Count, "alert: time without a sale of a product while the chain sells; 0: off"
    ] = 60
    alert_below_pace_percent: Annotated[Percent, "alert: how far a shop's revenue is below its baseline; 0: off"] = 30
    alert_refund_percent: Annotated[Percent, "alert: share of refunds in a shop's receipts of today; 0: off"] = 5
    alert_quarantine_per_hour: Annotated[Count, "alert: number of new quarantine entries; 0: off"] = 20
    alert_anomaly_percent: Annotated[Percent, "alert: share of anomalous receipts in the last hour; 0: off"] = 5
    alert_webhook_url: Annotated[str, "URL to which alerts are posted when they fire and clear; empty: none"] = ""
    alert_webhook_timeout_ms: Annotated[Positive, "maximum wait for a response of the webhook"] = 5_000
    alert_page_url: Annotated[str, "public URL of the dashboard for links in alerts; empty: its local address"] = ""

    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$"), "minimum log level"] = "info"
    log_format: Annotated[str, Meta(pattern="^(text|json)$"), "format of the log lines: text or json"] = "text"

    metrics: Annotated[list[dict[str, Any]], "custom metrics (TOML only; see docs/metrics.md)"] = []

    @property
    def data_path(self) -> Path:
        return Path(self.data)

    @property
    def silent_shop_minutes(self) -> int:
        """The time without a receipt after which an open store counts as silent.

        It is the setting `alert_silent_shop_minutes`, or the default of this setting if the alert is off.
        """
        silent_minutes: int = self.alert_silent_shop_minutes or default("alert_silent_shop_minutes")
        return silent_minutes

    @property
    def tls(self) -> bool:
        return bool(self.tls_certificate_file)


@cache
def _annotations() -> dict[str, Any]:
    """Return the evaluated annotations. They are cached, because the evaluation is slow and every option needs them."""
    return get_type_hints(Settings, include_extras=True)


def describe(name: str) -> str:
    """Return the one-line help of a setting."""
    return next(part for part in get_args(_annotations()[name]) if isinstance(part, str))


def plain_type(name: str) -> Any:
    """Return the type of a setting without its limits and help, such as `dict[str, str]`."""
    return get_args(_annotations()[name])[0]


def default(name: str) -> Any:
    return getattr(Settings(), name)


def flag(name: str) -> str:
    """Return the command-line option of a setting."""
    return f"--{name.replace('_', '-')}"


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"TILLSTREAM_{name.upper()}"


def text(value: Any) -> str:
    """Format a value in the syntax of options and environment variables."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    return ",".join(value) if isinstance(value, list) else str(value)


def shown(name: str, value: Any) -> Any:
    """Return the value of a setting for display. The password in `rabbitmq_url` is masked."""
    return _PASSWORD.sub(r"\1***@", value) if name == "rabbitmq_url" else value


def load(
    file: Path | None, environment: Mapping[str, str], options: Mapping[str, Any]
) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and the origin of each value that was set, such as `the command line`.

    If `file` is None, the environment variable `TILLSTREAM_CONFIG` can name the TOML file. An option with the value
    None counts as not set. Raises `SettingsError` if the file is unreadable, or if a setting is unknown or invalid.
    """
    if file is None and environment.get(CONFIG_VARIABLE):
        file = Path(environment[CONFIG_VARIABLE])
    variables = {variable(name): name for name in Settings.__struct_fields__}
    sources: list[tuple[str, Mapping[str, Any]]] = [
        (str(file), _read(file) if file else {}),
        ("the environment", {variables[key]: value for key, value in environment.items() if key in variables}),
        ("the command line", {name: value for name, value in options.items() if value is not None}),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, source in sources:
        for name, value in source.items():
            if name not in Settings.__struct_fields__:
                hint = "see `tillstream settings` for the list"
                raise SettingsError("use the setting", f"{name} of {origin}", "it does not exist", hint)
            values[name] = value
            origins[name] = origin
    settings = Settings(**{name: _convert(name, value, origins[name]) for name, value in values.items()})
    for name, because, hint in _faults(settings):
        raise SettingsError("use the setting", f"{name} of {origins.get(name, 'the defaults')}", because, hint)
    return settings, origins


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise SettingsError("read the settings file", file, error.strerror or error, "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("read the settings file", file, error, "it must be a TOML file") from error


def _convert(name: str, value: Any, origin: str) -> Any:
    kind = plain_type(name)
    from_text = isinstance(value, str)
    if from_text and get_origin(kind) in (list, dict):
        items = [item.strip() for item in value.split(",") if item.strip()]
        value = items if get_origin(kind) is list else dict(item.partition("=")[::2] for item in items)
    elif kind == list[str] and isinstance(value, list):
        # In TOML, the items may be numbers, such as vat_rates = [5.5, 10].
        value = [str(item) if isinstance(item, int | Decimal) else item for item in value]
    try:
        return msgspec.convert(value, _annotations()[name], strict=not from_text)
    except msgspec.ValidationError as error:
        because = f"{str(error).split(' - at')[0]}, got {value!r}"
        raise SettingsError("use the setting", f"{name} of {origin}", because, f"{name}: {describe(name)}") from error


def _faults(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the cause and a hint for each setting that has a valid type but an invalid value.

    The texts never contain a URL, because a URL may contain a password or a secret path.
    """
    zones = [("zone", settings.zone), *(("store_zones", zone) for zone in settings.store_zones.values())]
    for name, zone in zones:
        if not is_zone(zone):
            yield name, f"{zone!r} is not a time zone", ZONE_HINT
    for name in ("alert_webhook_url", "alert_page_url", "ingest_url"):
        url, hint = getattr(settings, name), "write it like https://example.org/path"
        if url and not _is_url(url, "http", "https"):
            yield name, "it is not an http or https address", hint
        elif urlsplit(url).username is not None or not re.fullmatch("[!-~]*", url):
            yield name, "it contains a user, a space or a special character", hint
    if not _is_url(settings.rabbitmq_url, "amqp", "amqps"):
        hint = "write it like amqps://user:password@broker.example.org/shops"
        yield "rabbitmq_url", "it is not an amqp or amqps address", hint
    for proxy in settings.proxies:
        try:
            ip_network(proxy)
        except ValueError:
            yield "proxies", f"{proxy!r} is not an address or network", 'write ["10.0.0.7", "192.168.0.0/24"]'
    for rate in settings.vat_rates:
        if not _RATE.fullmatch(rate):
            yield "vat_rates", f"{rate!r} is not a rate in percent", 'write ["5.5", "10", "20"]'


def is_zone(name: str) -> bool:
    """Return whether `name` is the IANA name of a time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_url(text: str, *schemes: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
