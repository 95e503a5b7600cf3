"""Every setting is an option, and commands print tables and progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tillstream.cli import options
from tillstream.cli.options import print_table, progress_bar
from tillstream.config.settings import TOML_ONLY, Settings, default, describe
from tillstream.errors import SettingsError


@click.command()
@options.with_settings("data", "zone")
def probe(**given: Any) -> None:
    """Show what the options lead to."""
    settings, origins = options.resolve(given)
    assert given == {}
    changed = {name: getattr(settings, name) for name in sorted(origins)}
    click.echo(f"{changed} {sorted(origins.items())}")


def invoke(*arguments: str, **environment: str) -> str:
    result = CliRunner().invoke(probe, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_setting_except_the_toml_only_ones_is_an_option() -> None:
    names = {parameter.name for parameter in probe.params}
    assert names == set(Settings.__struct_fields__) - TOML_ONLY | {"config"}


def test_help_shows_the_chosen_settings_with_their_own_help_and_default() -> None:
    shown = " ".join(invoke("--help").split())
    assert f"--zone TEXT {describe('zone')}. [default: {default('zone')}]".lower() in shown.lower()
    assert "--linger" not in shown
    assert "--vat-rates" not in shown


def test_an_option_overrides_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('zone = "Europe/Rome"\ncurrency = "CHF"\ningest_port = 1\n')
    output = invoke("--config", str(file), "--ingest-port", "3", TILLSTREAM_INGEST_PORT="2", TILLSTREAM_CURRENCY="USD")
    assert output.strip() == (
        "{'currency': 'USD', 'ingest_port': 3, 'zone': 'Europe/Rome'} "
        f"[('currency', 'the environment'), ('ingest_port', 'the command line'), ('zone', '{file}')]"
    )


def test_a_flag_is_set_by_its_option_or_its_variable() -> None:
    assert "{'insecure': True}" in invoke("--insecure")
    assert "{'insecure': True}" in invoke(TILLSTREAM_INSECURE="true")
    assert "{'insecure': False}" in invoke(TILLSTREAM_INSECURE="0")
    assert "{}" in invoke()


def test_a_variable_can_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('data = "elsewhere"\n')
    assert "{'data': 'elsewhere'}" in invoke(TILLSTREAM_CONFIG=str(file))


def test_commas_separate_lists_and_pairs() -> None:
    output = invoke("--vat-rates", "5.5,10", "--store-zones", "7=Europe/London,8=Europe/Lisbon")
    assert "'vat_rates': ['5.5', '10']" in output
    assert "'store_zones': {'7': 'Europe/London', '8': 'Europe/Lisbon'}" in output


def test_a_value_out_of_range_names_its_option() -> None:
    with pytest.raises(SettingsError, match="ingest_port of the command line"):
        invoke("--ingest-port", "70000")


def test_a_table_in_a_pipe_is_wide_and_has_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "[b]" + 120 * "x"
    print_table(("name", "text"), [("a", cell)], "2 differences")
    output = capsys.readouterr().out
    assert cell in output
    assert "2 differences" in output


def test_progress_without_a_terminal_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("loading", lines=True) as update:
        for done in (0, 5, 19, 20, 21, 100):
            update(done, 100)
    assert capsys.readouterr().err.splitlines() == ["loading: 10 %", "loading: 20 %", "loading: 100 %"]


def test_progress_without_a_terminal_is_silent_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("rebuilding") as update:
        update(100, 100)
    assert capsys.readouterr() == ("", "")
