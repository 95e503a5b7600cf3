"""Ports for servers of tests and benches that cannot be told to choose one themselves."""

from __future__ import annotations

import os
import random
import socket

_FIRST, _BEHIND = 10_000, 32_768
"""Below the ports that Linux gives to connections: one of those could take a port before its server does."""

_WORKERS = 16
"""Each worker of pytest-xdist chooses among ports of its own."""

_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, and that this process was not given before."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    own = range(_FIRST + worker, _BEHIND, _WORKERS)
    for port in random.sample(own, len(own)):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("every port of this worker is in use or was given already")


def _is_free(port: int) -> bool:
    with socket.socket() as asking:
        try:
            asking.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
