"""Tables and progress bars that several commands print."""

from __future__ import annotations

import pytest

from tillstream.cli.common import print_table, progress_bar


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
