"""TCP ports: listening sockets, free ports, and the URLs and hosts of servers."""

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
    """Open a listening socket. Port 0 selects a free port. Errors mention `flag`, the command-line option for the port.

    Raises `PortTaken` if another program listens on the port, and `OperationalError` for any other failure.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        target = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            hint = f"stop it, or choose another port with {flag}"
            raise PortTaken("listen on", target, "another program already listens there", hint) from error
        # Errors of `create_server` have the address in their `strerror`, so take the text that belongs to the errno.
        # Errors of `getaddrinfo` have a negative errno. No text belongs to it, but their `strerror` has no address.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OperationalError("listen on", target, reason, f"choose another address with --host and {flag}") from error


def ensure_free(host: str, port: int, flag: str) -> None:
    """If `listen` would fail for this port, raise the same error."""
    listen(host, port, flag).close()


def free_port(host: str, *, other_than: Container[object] = ()) -> int:
    """Return a port that is free now and not in `other_than`. Another program may use the port a moment later."""
    while True:
        with listen(host, 0, "--host") as listener:
            bound: int = listener.getsockname()[1]
            if bound not in other_than:
                return bound


def address(host: str, port: int, *, tls: bool = False) -> str:
    """Return the URL at which this machine reaches a server that listens on `host`."""
    target = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    scheme = "https" if tls else "http"
    return f"{scheme}://[{target}]:{port}" if ":" in target else f"{scheme}://{target}:{port}"


def names_this_machine(host_header: str) -> bool:
    """Return whether a `Host` header is empty, an IP address, `localhost` or a name that ends in `.localhost`.

    This protects against DNS rebinding: an attacker lets his domain resolve to this machine, so that a page from that
    domain can read the responses. Requests of such a page have the domain in their `Host` header.
    """
    host = _PORT.sub("", host_header).strip("[]").lower()
    try:
        ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith(".localhost")
    return True


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
