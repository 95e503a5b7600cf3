"""Limits on password attempts: one for each address, and a total one, because a check costs CPU time."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from tillstream.clock import Clock
from tillstream.token_bucket import TokenBuckets

ADDRESS_BURST = 10
ADDRESS_PAUSE_S = 30
"""Ten attempts per address, then one every 30 s."""

TOTAL_BURST = 30
TOTAL_PAUSE_S = 5
"""Thirty attempts from all addresses, then one every 5 s."""

ADDRESSES_LIMIT = 10_000
"""Most addresses with a limit of their own. Further ones share the total limit only."""

_IPV6_NETWORK_BITS = 64
_TOTAL = ""


class LoginAttempts:
    """Counts password attempts. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_address = TokenBuckets(1 / ADDRESS_PAUSE_S, ADDRESS_BURST, ADDRESSES_LIMIT)
        self._total = TokenBuckets(1 / TOTAL_PAUSE_S, TOTAL_BURST, 1)

    def wait_s(self, address: str) -> int:
        """Count an attempt and return 0, or return the seconds to wait before the next one."""
        now_s = self._clock.now_us() / 1_000_000
        network = _network(address)
        wait_s = max(self._by_address.wait_s(network, now_s, 1), self._total.wait_s(_TOTAL, now_s, 1))
        if wait_s > 0:
            return int(wait_s) + 1
        self._by_address.take(network, now_s)
        self._total.take(_TOTAL, now_s)
        return 0

    def forgive(self, address: str) -> None:
        """Undo this attempt and reset the address, after a correct password."""
        self._total.put_back(_TOTAL)
        self._by_address.fill(_network(address))


def _network(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 address: providers assign a whole network to one customer."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
