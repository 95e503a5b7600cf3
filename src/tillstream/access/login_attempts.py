"""How often a password may be tried: by address, and by all together, since a guess costs processor time."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from tillstream.clock import Clock

ADDRESS_BURST = 10
ADDRESS_PAUSE_S = 30
"""An address may try so often at once, then once in so many seconds."""

TOGETHER_BURST = 30
TOGETHER_PAUSE_S = 5

ADDRESSES_KEPT = 10_000

_IPV6_NETWORK_BITS = 64


class LoginAttempts:
    """Counts tries in buckets that empty evenly; used on one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._together_s = 0.0
        # When an address has all its tries again, in seconds since the epoch.
        self._addresses: dict[str, float] = {}

    def wait_s(self, address: str) -> int:
        """0, and the try is counted; or nothing is, and how many seconds to wait."""
        now_s = self._clock.now_us() / 1_000_000
        place = _place(address)
        own_s = _after(self._addresses.get(place, now_s), now_s, ADDRESS_BURST, ADDRESS_PAUSE_S)
        together_s = _after(self._together_s, now_s, TOGETHER_BURST, TOGETHER_PAUSE_S)
        wait_s = max(own_s - ADDRESS_BURST * ADDRESS_PAUSE_S, together_s - TOGETHER_BURST * TOGETHER_PAUSE_S) - now_s
        if wait_s > 0:
            return int(wait_s) + 1
        self._together_s = together_s
        if len(self._addresses) >= ADDRESSES_KEPT:
            self._addresses = {known: at_s for known, at_s in self._addresses.items() if at_s > now_s}
        # Where too many try, what they may do together still holds.
        if place in self._addresses or len(self._addresses) < ADDRESSES_KEPT:
            self._addresses[place] = own_s
        return 0

    def forgive(self, address: str) -> None:
        """It was the right password: this try does not count, nor those before it of the address."""
        self._together_s -= TOGETHER_PAUSE_S
        self._addresses.pop(_place(address), None)


def _after(full_s: float, now_s: float, burst: int, pause_s: int) -> float:
    """When the bucket is empty again after one more try; no farther than a full one, should a clock be set back."""
    return min(max(full_s, now_s), now_s + burst * pause_s) + pause_s


def _place(address: str) -> str:
    """An address, or the network that one customer of a provider has of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, _IPV6_NETWORK_BITS), strict=False))
    return str(parsed)
