"""Waiting for a condition instead of sleeping a guess, for the tests and the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
import psutil

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T | None],
    what: str,
    timeout_s: float = 30.0,
    pause_s: float = 0.05,
    failure: type[Exception] = AssertionError,
) -> T:
    """The first true value of `condition`; a request that fails or a process that is gone counts as not yet.

    Raises `failure` with what was waited for, and with what came last, where it takes longer.
    """
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            value = condition()
        except (httpx.HTTPError, psutil.NoSuchProcess) as error:
            last = error
        else:
            if value:
                return value
            last = value
        time.sleep(pause_s)
    raise failure(f"{what}: not within {timeout_s:g} s, last {last!r}")
