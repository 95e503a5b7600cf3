"""TCP ports: to listen on one, to know whether one is free, and how it is reached."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Container
from ipaddress import ip_address

from tillstream.errors import OperationalError, PortTaken

_PORT = re.compile(r":[0-9]*$")


def listen(host: str, port: int, flag: str, backlog: int = 1) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    `flag` is the option that chooses another. Raises `PortTaken` where another program listens
    there, even one that shares ports (SO_REUSEPORT), and `OperationalError` for any other obstacle.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        target = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            hint = f"stop it, or choose another port with {flag}"
            raise PortTaken("listen on", target, "another program listens there already", hint) from error
        # Without an errno the strerror is the whole message that `create_server` put together.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OperationalError("listen on", target, reason, f"choose others with --host and {flag}") from error


def ensure_free(host: str, port: int, flag: str) -> None:
    """Raise what `listen` would raise."""
    listen(host, port, flag).close()


def free_port(host: str, *, other_than: Container[object] = ()) -> int:
    """A port that nobody listened on a moment ago."""
    while True:
        with listen(host, 0, "--host") as listener:
            bound: int = listener.getsockname()[1]
            if bound not in other_than:
                return bound


def address(host: str, port: int, *, tls: bool = False) -> str:
    """The URL at which a server that listens on `host` is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def names_this_machine(host_header: str) -> bool:
    """Whether a `Host` header is an address or `localhost`: no name that somebody else could have given to this machine."""
    host = _PORT.sub("", host_header).strip("[]").lower()
    try:
        ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
