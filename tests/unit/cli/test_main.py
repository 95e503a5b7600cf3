"""Given the command; when verbs are called; then they list, refuse in one line, or show a real fault whole."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import tillstream
from tillstream.cli.main import Verbs, main
from tillstream.config import settings
from tillstream.config.settings import Settings
from tillstream.errors import DatabaseUnavailable, LogUnavailable, OperationalError, PortTaken

VERBS = ("up", "ingest", "engine", "inbox", "generate", "import", "stores", "check", "rebuild", "settings", "version")


def invoke(*arguments: str, command: click.Command = main, **environment: str) -> Result:
    return CliRunner().invoke(command, arguments, env=environment, prog_name="tillstream")


def test_all_verbs_are_listed_and_the_inner_ones_are_not() -> None:
    said = invoke("--help").output
    assert all(f"\n  {verb} " in said for verb in VERBS)
    assert "sell" not in said
    assert "--supervised" not in invoke("engine", "--help").output


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_in_its_help(verb: str) -> None:
    result = invoke(verb, "--help")
    assert result.exit_code == 0
    assert re.search(rf"(^|:) +tillstream {verb}\b", result.output, re.MULTILINE), result.output


def test_the_version_is_the_packages() -> None:
    assert invoke("version").output == f"{tillstream.__version__}\n"


def test_settings_lists_each_with_value_help_origin_and_default() -> None:
    said = invoke("settings", "--zone", "Europe/Rome", "--store-zones", "7=UTC", TILLSTREAM_LOG_FORMAT="json").output
    for name in Settings.__struct_fields__:
        assert f"\n{name} = " in f"\n{said}"
        assert settings.describe(name) in said
    assert 'zone = "Europe/Rome"\n' in said
    assert 'from the command line; default "Europe/Paris"' in said
    assert 'store_zones = {"7" = "UTC"}\n' in said
    assert 'log_format = "json"\n' in said
    assert 'from the environment; default "text"' in said


def test_an_inbox_needs_a_folder() -> None:
    result = invoke("inbox")
    assert (result.exit_code, "name the folder: tillstream inbox DIR" in result.stderr) == (2, True)


@pytest.mark.parametrize("verb", ["check", "rebuild"])
def test_readers_of_a_missing_directory_are_told_in_one_line(verb: str, tmp_path: Path) -> None:
    result = invoke(verb, "--data", str(tmp_path / "none"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line == (
        f"tillstream: could not use the data directory {tmp_path / 'none'}: there is no such directory; "
        "name the one to read with --data"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatabaseUnavailable("open the database", "x.duckdb", "it is locked", "stop the other one"), 3),
        (LogUnavailable("open the log", "x", "input/output error"), 3),
        (PortTaken("listen on", "127.0.0.1:3000", "another program already listens there"), 2),
    ],
)
def test_an_operational_error_ends_with_its_line_and_a_code_that_says_whether_to_try_again(
    error: OperationalError, code: int
) -> None:
    @click.group(cls=Verbs)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    result = invoke("fail", command=group)
    assert (result.exit_code, result.stderr) == (code, f"tillstream: {error}\n")


def test_any_other_error_is_not_hidden() -> None:
    @click.group(cls=Verbs)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise ZeroDivisionError("a fault of the program")

    result = invoke("fail", command=group)
    assert isinstance(result.exception, ZeroDivisionError)
