"""Given a log format and level; when the program or a library logs; then lines come out in that form."""

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


def test_json_lines_carry_level_time_role_and_what_was_bound(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_format="json"), "engine", stream)
    structlog.get_logger().warning("log damaged", records=7)
    (line,) = lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "log damaged", "level": "warning", "role": "engine", "records": 7}


def test_libraries_log_the_same_way(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_format="json"), "ingest", stream)
    logging.getLogger("some.library").error("it %s", "broke")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["role"]) == ("it broke", "error", "ingest")


def test_lines_under_the_level_stay_out(stream: io.StringIO) -> None:
    telemetry.configure(Settings(log_level="error"), "up", stream)
    structlog.get_logger().warning("unheard")
    logging.getLogger("some.library").info("unheard")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_shows_no_variables(stream: io.StringIO, form: str) -> None:
    telemetry.configure(Settings(log_format=form), "engine", stream)
    receipt = "customer 4711"
    try:
        raise RuntimeError(f"broken after {len(receipt)}")
    except RuntimeError:
        structlog.get_logger().exception("folding ended")
    assert "broken after 13" in stream.getvalue()
    assert "4711" not in stream.getvalue()


def test_text_is_one_plain_line_without_a_terminal(stream: io.StringIO) -> None:
    telemetry.configure(Settings(), "up", stream)
    structlog.get_logger().info("part died", part="engine")
    (line,) = stream.getvalue().splitlines()
    assert "part died" in line
    assert "part=engine" in line
    assert "\x1b" not in line
