"""TCP ports: whether one is free to listen on, and one that is."""

from __future__ import annotations

import errno
import socket

from tillstream.errors import OperationalError, PortTaken


def ensure_free(host: str, port: int, flag: str) -> None:
    """Raise `PortTaken` where another program listens on the port; 0 is always free.

    `flag` is the option that chooses another. Servers that share ports (SO_REUSEPORT) would not
    notice each other by themselves.
    """
    try:
        _bind(host, port)
    except OSError as error:
        target = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            hint = f"stop it, or choose another port with {flag}"
            raise PortTaken("listen on", target, "another program listens there already", hint) from error
        reason = error.strerror or str(error)
        raise OperationalError("listen on", target, reason, f"choose others with --host and {flag}") from error


def free_port(host: str) -> int:
    """A port that nobody listened on a moment ago."""
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        bound: int = probe.getsockname()[1]
        return bound


def address(host: str, port: int) -> str:
    """The URL at which a server that listens on `host` is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
