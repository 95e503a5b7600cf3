"""Limits on password attempts."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from tillstream.clock import Clock
from tillstream.token_bucket import TokenBuckets

ADDRESS_BURST = 10
ADDRESS_PAUSE_S = 30
"""An address may make 10 attempts at once, then one every 30 s."""

TOTAL_BURST = 30
TOTAL_PAUSE_S = 5
"""All addresses together may make 30 attempts at once, then one every 5 s."""

ADDRESSES_LIMIT = 10_000
"""The maximum number of addresses that have their own limit. For further addresses, only the total limit applies."""

_IPV6_NETWORK_BITS = 64
_TOTAL = ""


class LoginAttempts:
    """Limits password attempts per address and in total, because each check costs CPU time. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_address = TokenBuckets(1 / ADDRESS_PAUSE_S, ADDRESS_BURST, ADDRESSES_LIMIT)
        self._total = TokenBuckets(1 / TOTAL_PAUSE_S, TOTAL_BURST, 1)

    def wait_s(self, address: str) -> int:
        """Return the seconds until an attempt is allowed. If it is allowed now, count the attempt and return 0."""
        now_s = self._clock.now_us() / 1_000_000
        network = _network(address)
        wait_s = max(self._by_address.wait_s(network, now_s, 1), self._total.wait_s(_TOTAL, now_s, 1))
        if wait_s > 0:
            return int(wait_s) + 1
        self._by_address.take(network, now_s)
        self._total.take(_TOTAL, now_s)
        return 0

    def forgive(self, address: str) -> None:
        """After a correct password, reset the limit of the address, and remove this attempt from the total."""
        self._total.take(_TOTAL, self._clock.now_us() / 1_000_000, -1)
        self._by_address.fill(_network(address))


def _network(address: str) -> str:
    """Return an IPv4 address unchanged, and the /64 network of an IPv6 address.

    A /64 network often has one owner, who could otherwise use a new address for every attempt.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
