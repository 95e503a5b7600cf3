"""Wait for a condition."""

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
    """Call `condition` until it returns a true value, and return that value.

    HTTP errors and ended processes count as false. After the timeout, `failure` is raised with `what` and the last value or
    error in its message.
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
