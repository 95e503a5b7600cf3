"""The client of a request behind reverse proxies, whose headers are trusted only from known proxies."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

from starlette.requests import Request

from tillstream.config import ports


class Proxies:
    """The trusted proxies: those on this machine, and those in the given networks."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        """`networks` are addresses and networks as the setting `proxies` has them."""
        self._networks = [ip_network(each) for each in networks]

    def client_address(self, request: Request) -> str:
        """The address of the client, or the one that a trusted proxy forwards for."""
        forwarded = _last(request, "x-forwarded-for") if self._trusts(request) else ""
        return forwarded or (request.client.host if request.client else "")

    def is_encrypted(self, request: Request) -> bool:
        """Whether the client used HTTPS to reach a trusted proxy."""
        return self._trusts(request) and _last(request, "x-forwarded-proto") == "https"

    def _trusts(self, request: Request) -> bool:
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
    """The last of the header's values, which the nearest proxy wrote. Clients may have forged those before it."""
    return ",".join(request.headers.getlist(header)).rpartition(",")[2].strip()
