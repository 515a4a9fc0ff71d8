"""How often one address may knock: requests to `/auth/*`, failed logins of one account, unknown keys. Per process."""

import re
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import Scope

from api.http.errors import RateLimited

REQUESTS = RateLimitItemPerMinute(300, namespace="requests")
FAILED_LOGINS = RateLimitItemPerMinute(10, 5, namespace="failed logins")
UNKNOWN_KEYS = RateLimitItemPerMinute(60, namespace="unknown keys")

NO_ADDRESS = "local"
IPV6_NETWORK_BITS = 64

# Some proxies write the client's port, too: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
_HOP = re.compile(r"(?:(?P<ipv4>[0-9.]+)|\[(?P<ipv6>[^\]]+)\])(?::[0-9]{1,5})?", re.ASCII)


class RateLimits:
    """Counts in windows that begin with the first request; every check raises `RateLimited`, or nothing when off."""

    def __init__(self, *, on: bool, trusted_proxies: Iterable[str] = ()) -> None:
        self._on = on
        self._trusted_proxies = [ip_network(proxy, strict=False) for proxy in trusted_proxies]
        self._windows = FixedWindowRateLimiter(MemoryStorage())

    async def count_request(self, address: str) -> None:
        """One more request of this address; refused above 300 a minute."""
        if self._on and not await self._windows.hit(REQUESTS, address):
            raise await self._refusal(REQUESTS, address)

    async def check_login(self, address: str, email: str) -> None:
        """Refused after 10 failed logins in 5 minutes from this address to this account, the right password too."""
        if self._on and not await self._windows.test(FAILED_LOGINS, address, email):
            raise await self._refusal(FAILED_LOGINS, address, email)

    async def count_failed_login(self, address: str, email: str) -> None:
        """One more failed login. Address and account are one key, so that nobody can lock out another."""
        if self._on and not await self._windows.hit(FAILED_LOGINS, address, email):
            raise await self._refusal(FAILED_LOGINS, address, email)

    async def check_unknown_keys(self, address: str) -> None:
        """Refused after 60 unknown API keys in a minute from this address; not for keys met a moment ago."""
        if self._on and not await self._windows.test(UNKNOWN_KEYS, address):
            raise await self._refusal(UNKNOWN_KEYS, address)

    async def count_unknown_key(self, address: str) -> None:
        """One more key that there is not."""
        if self._on and not await self._windows.hit(UNKNOWN_KEYS, address):
            raise await self._refusal(UNKNOWN_KEYS, address)

    def address_of(self, scope: Scope) -> str:
        """Where a request comes from; `X-Forwarded-For` counts only as far as trusted proxies wrote it.

        IPv6 counts by network, since one client has 2**64 addresses there.
        """
        client = scope.get("client")
        address = _parsed(client[0]) if client else None
        if address is None:
            return NO_ADDRESS
        hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        while hops and self._is_trusted(address):
            forwarded = _parsed(_without_port(hops.pop().strip()))
            if forwarded is None:
                break
            address = forwarded
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, IPV6_NETWORK_BITS), strict=False))
        return str(address)

    def _is_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted_proxies)

    async def _refusal(self, limit: RateLimitItem, *key: str) -> RateLimited:
        stats = await self._windows.get_window_stats(limit, *key)
        return RateLimited(max(1, round(stats.reset_time - time.time() + 0.5)))


def _without_port(hop: str) -> str:
    match = _HOP.fullmatch(hop)
    return match["ipv4"] or match["ipv6"] if match else hop


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
