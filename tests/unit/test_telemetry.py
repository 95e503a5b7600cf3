"""Log lines of the program and its libraries have the format and the minimum level of the settings."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from tillstream import telemetry
from tillstream.config.settings import Settings


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_have_level_time_role_and_bound_fields(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_format="json"), "engine", stream)
    structlog.get_logger().warning("log.damaged", records=7)
    (line,) = lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "log.damaged", "level": "warning", "role": "engine", "records": 7}


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_format="json"), "ingest", stream)
    logging.getLogger("some.library").error("it %s", "broke")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["role"]) == ("it broke", "error", "ingest")


def test_lines_below_the_minimum_level_are_dropped(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_level="error"), "up", stream)
    structlog.get_logger().warning("dropped")
    logging.getLogger("some.library").info("dropped")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_shows_no_variables(stream: io.StringIO, form: str) -> None:
    telemetry.configure(Settings(log_format=form), "engine", stream)
    receipt = "customer 4711"
    try:
        raise RuntimeError(f"broken after {len(receipt)}")
    except RuntimeError:
        structlog.get_logger().exception("engine.stopped")
    assert "broken after 13" in stream.getvalue()
    assert "4711" not in stream.getvalue()


def test_text_without_a_terminal_is_one_line_without_colors(stream: io.StringIO) -> None:
    telemetry.configure(Settings(), "up", stream)
    structlog.get_logger().info("supervisor.part_died", part="engine")
    (line,) = stream.getvalue().splitlines()
    assert "supervisor.part_died" in line
    assert "part=engine" in line
    assert "\x1b" not in line
