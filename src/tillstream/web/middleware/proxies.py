"""Who asks, and how, where a proxy stands in front: told by headers that are believed of known proxies alone."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from starlette.requests import Request

from tillstream.config import ports


class Proxies:
    """Those of this machine, and the networks named to it."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """`networks` are addresses and networks as `settings.load` takes them."""
        self._networks = [ip_network(each) for each in networks]

    def address(self, request: Request) -> str:
        """Who asks: the other side, or whom a proxy speaks for."""
        given = _last(request, "x-forwarded-for") if self._sent(request) else ""
        return given or (request.client.host if request.client else "")

    def encrypts(self, request: Request) -> bool:
        """Whether the browser came to a proxy by HTTPS."""
        return self._sent(request) and _last(request, "x-forwarded-proto") == "https"

    def _sent(self, request: Request) -> bool:
        if request.client is None:
            return False
        if ports.is_loopback(request.client.host):
            return True
        try:
            client = ip_address(request.client.host)
        except ValueError:
            return False
        return any(client in network for network in self._networks)


def _last(request: Request, header: str) -> str:
    """The last of the header's values, which the nearest proxy wrote; what stands before it anyone may have written."""
    return ",".join(request.headers.getlist(header)).rpartition(",")[2].strip()
