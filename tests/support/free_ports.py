"""Free ports for servers that cannot choose a port themselves."""

from __future__ import annotations

import os
import random
import socket

_FIRST, _END = 10_000, 32_768
"""The ports below Linux's range for outgoing connections. A port in that range could become used at any time."""

_WORKERS = 16
"""The maximum number of pytest-xdist workers. Each worker uses a different set of ports."""

_used: set[int] = set()


def free_port() -> int:
    """A free port of 127.0.0.1. A process gets each port only once."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    own = range(_FIRST + worker, _END, _WORKERS)
    for port in random.sample(own, len(own)):
        if port not in _used and _is_free(port):
            _used.add(port)
            return port
    raise RuntimeError("this worker has no free port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
