"""Command-line options generated from `Settings`, which alone declares name, type, default and help."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_origin

import click

from tillstream.config import settings as declared
from tillstream.config.settings import Settings

CONFIG_VARIABLE = f"{declared.ENVIRONMENT_PREFIX}CONFIG"
TOML_ONLY = frozenset({"metrics"})
BASIC = ("data", "host", "ingest_port", "dashboard_port", "tls_certificate_file", "tls_key_file", "insecure")
"""Settings that `--help` shows; the other settings are hidden options, listed by `tillstream settings`."""

EPILOG = "Every setting listed by `tillstream settings` is also an option."

_TYPES: dict[Any, click.ParamType[Any]] = {int: click.INT, str: click.STRING}
_METAVARS = {list: "A,B", dict: "NAME=VALUE,…"}

Command = TypeVar("Command", bound=Callable[..., Any])


give_up = click.option(
    "--give-up",
    "give_up_s",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Stop when nothing was acknowledged for this long.",
)
"""Option of the commands that send receipts to ingest."""

key_file = click.option(
    "--key-file",
    "key",
    type=click.File(encoding="utf-8"),
    callback=lambda _context, _option, file: "" if file is None else file.read(1000).strip(),
    help="File that holds an API key; - for standard input.",
)


def with_settings(*shown: str) -> Callable[[Command], Command]:
    """Add every setting as an option, and `--config`; `--help` shows only the `shown` settings."""

    def decorate(command: Command) -> Command:
        for name in reversed(Settings.__struct_fields__):
            if name not in TOML_ONLY:
                command = _option(name, hidden=name not in shown)(command)
        config = click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"TOML file with settings (or the variable {CONFIG_VARIABLE})",
        )
        return config(command)

    return decorate


def _option(name: str, *, hidden: bool) -> Callable[[Command], Command]:
    kind = declared.plain_type(name)
    if kind is bool:
        return click.option(flag(name), name, is_flag=True, default=None, hidden=hidden, help=declared.describe(name))
    return click.option(
        flag(name),
        name,
        type=_TYPES.get(kind, click.STRING),
        metavar=_METAVARS.get(get_origin(kind) or kind),
        default=None,
        hidden=hidden,
        help=f"{declared.describe(name)}  [default: {text(declared.default(name)) or 'none'}]",
    )


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def text(value: Any) -> str:
    """A value in the syntax of an option or an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value)


def resolve(options: dict[str, Any]) -> tuple[Settings, dict[str, str]]:
    """The settings that result from a command's options, and the origin of each that is not a default.

    Removes the settings and `config` from `options`. Raises `SettingsError`.
    """
    file = options.pop("config") or _config_of_environment()
    flags = {name: options.pop(name) for name in Settings.__struct_fields__ if name in options}
    return declared.load(file, flags=flags), declared.origins(file, flags=flags)


def _config_of_environment() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None
