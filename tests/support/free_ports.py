"""Free ports for servers in tests and benchmarks that cannot choose a port themselves."""

from __future__ import annotations

import os
import random
import socket

_FIRST, _END = 10_000, 32_768
"""These ports are below the range of Linux for outgoing connections, which could otherwise use a port first."""

_WORKERS = 16
"""Each worker of pytest-xdist has its own set of ports."""

_used: set[int] = set()


def free_port() -> int:
    """A free port of 127.0.0.1 that this process did not get before."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    own = range(_FIRST + worker, _END, _WORKERS)
    for port in random.sample(own, len(own)):
        if port not in _used and _is_free(port):
            _used.add(port)
            return port
    raise RuntimeError("no port of this worker is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
