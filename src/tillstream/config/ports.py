"""TCP ports: listening sockets, free ports and the addresses of servers."""

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
    """Open a listening socket; port 0 chooses a free port.

    `flag` is the command-line option that sets the port. Raises `PortTaken` if another program listens
    there, even with SO_REUSEPORT, and `OperationalError` for any other failure.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        target = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            hint = f"stop it, or choose another port with {flag}"
            raise PortTaken("listen on", target, "another program already listens there", hint) from error
        # `create_server` may raise an error without errno; its strerror is then the whole message.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OperationalError("listen on", target, reason, f"choose others with --host and {flag}") from error


def ensure_free(host: str, port: int, flag: str) -> None:
    """Raise the error that `listen` would raise."""
    listen(host, port, flag).close()


def free_port(host: str, *, other_than: Container[object] = ()) -> int:
    """A port that was free a moment ago."""
    while True:
        with listen(host, 0, "--host") as listener:
            bound: int = listener.getsockname()[1]
            if bound not in other_than:
                return bound


def address(host: str, port: int, *, tls: bool = False) -> str:
    """The URL of a server that listens on `host`, as seen from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{reached}]:{port}" if ":" in reached else f"{scheme}://{reached}:{port}"


def names_this_machine(host_header: str) -> bool:
    """Whether a `Host` header is an IP address or `localhost`, which DNS rebinding cannot forge."""
    host = _PORT.sub("", host_header).strip("[]").lower()
    try:
        ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")
    return True


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` is reachable from this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
