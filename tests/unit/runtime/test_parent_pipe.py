"""The pipe carries the settings, and its end stops the part."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tillstream.config.settings import Settings
from tillstream.runtime import parent_pipe


def test_settings_arrive_unchanged() -> None:
    sent = Settings(
        data="d\nd", store_zones={"7": "Europe/London"}, vat_rates=["5.5"], metrics=[{"name": "x", "keys": ["day"]}]
    )
    reader, writer = os.pipe()
    try:
        os.write(writer, parent_pipe.pack(sent) + b"rest")
        assert parent_pipe.receive(reader) == sent
        assert os.read(reader, 10) == b"rest"
    finally:
        os.close(reader)
        os.close(writer)


def test_the_end_of_the_pipe_without_settings_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    try:
        with pytest.raises(EOFError, match="sent no settings"):
            parent_pipe.receive(reader)
    finally:
        os.close(reader)


def test_a_hanging_part_ends_soon_after_its_supervisor() -> None:
    part = (
        "import threading; from tillstream.runtime import parent_pipe\n"
        "parent_pipe.watch(lambda: print('lost', flush=True))\n"
        "print('watching', flush=True); threading.Event().wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "watching\n"
        assert process.poll() is None
        began = time.monotonic()
        process.stdin.close()
        assert process.stdout.readline() == "lost\n"
        assert process.wait(10) == 1
        assert time.monotonic() - began >= parent_pipe.GRACE_S * 0.9
