"""The `tillstream` command: help, settings, exit codes, and errors in one line."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import tillstream
from tillstream.cli.main import CommandGroup, main
from tillstream.config import settings
from tillstream.config.settings import Settings
from tillstream.errors import DatabaseUnavailable, LogUnavailable, OperationalError, PortTaken

COMMANDS = (
    "up",
    "ingest",
    "engine",
    "inbox",
    "generate",
    "import",
    "stores",
    "check",
    "rebuild",
    "settings",
    "version",
)


def invoke(*arguments: str, command: click.Command = main, **environment: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment, prog_name="tillstream")


def test_help_lists_all_commands_except_the_internal_ones() -> None:
    output = invoke("--help").output
    assert all(f"\n  {name} " in output for name in COMMANDS)
    assert "sell" not in output
    assert "--supervised" not in invoke("engine", "--help").output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_in_its_help(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert re.search(rf"(^|:) +tillstream {name}\b", result.output, re.MULTILINE), result.output


def test_version_prints_the_version_of_the_package() -> None:
    assert invoke("version").output == f"{tillstream.__version__}\n"


def test_settings_lists_values_help_origins_and_defaults() -> None:
    output = invoke("settings", "--zone", "Europe/Rome", "--store-zones", "7=UTC", TILLSTREAM_LOG_FORMAT="json").output
    for name in Settings.__struct_fields__:
        assert f"\n{name} = " in f"\n{output}"
        assert settings.describe(name) in output
    assert 'zone = "Europe/Rome"\n' in output
    assert 'from the command line; default "Europe/Paris"' in output
    assert 'store_zones = {"7" = "UTC"}\n' in output
    assert 'log_format = "json"\n' in output
    assert 'from the environment; default "text"' in output


def test_an_inbox_needs_a_folder() -> None:
    result = invoke("inbox")
    assert (result.exit_code, "name the folder: tillstream inbox DIR" in result.stderr) == (2, True)


@pytest.mark.parametrize("name", ["check", "rebuild"])
def test_a_missing_directory_is_reported_in_one_line(name: str, tmp_path: Path) -> None:
    result = invoke(name, "--data", str(tmp_path / "none"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line == (
        f"tillstream: could not use the data directory {tmp_path / 'none'}: it does not exist; "
        "name an existing directory with --data"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatabaseUnavailable("open the database", "x.duckdb", "it is locked", "stop the other one"), 3),
        (LogUnavailable("open the log", "x", "input/output error"), 3),
        (PortTaken("listen on", "127.0.0.1:3000", "another program already listens there"), 2),
    ],
)
def test_an_operational_error_is_one_line_and_its_exit_code_says_whether_to_retry(
    error: OperationalError, code: int
) -> None:
    @click.group(cls=CommandGroup)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    result = invoke("fail", command=group)
    assert (result.exit_code, result.stderr) == (code, f"tillstream: {error}\n")


def test_other_errors_are_raised() -> None:
    @click.group(cls=CommandGroup)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise ZeroDivisionError("a fault of the program")

    result = invoke("fail", command=group)
    assert isinstance(result.exception, ZeroDivisionError)
