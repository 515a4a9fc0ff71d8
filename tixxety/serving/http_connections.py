"""How many connections one API process takes, in all and of one address, and how much it keeps for slow readers."""

import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol, Self

import structlog

from api.http.errors import NoConnectionLeft, TooManyConnections
from api.http.rate_limits import IPV6_NETWORK_BITS
from domain.errors import Refusal
from eventstore.errors import Failure

MOST_CONNECTIONS = 16_384
ONE_ADDRESS_IN = 4
# For all else that has a descriptor: the database's connections, the listener, the loop, the log, the spare ones.
DESCRIPTORS_KEPT = 96
# Beyond the bounds so many connections are taken for a moment, to answer for our health and to say no.
SPARE_CONNECTIONS = 32
LARGEST_UNREAD_BYTES = 256 * 1024 * 1024
TOLD_EVERY_SECONDS = 60

log = structlog.get_logger(__name__)


class Abortable(Protocol):
    """A connection that can be ended at once."""

    def abort(self) -> None:
        """End it at once, whatever was not sent."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How a connection came in: by which address it is counted, what is answered to all that is not about health.

    On one that is `unwanted` nothing is awaited: there are too many even of the spare ones.
    """

    address: str | None
    refusal: Refusal | Failure | None = None
    unwanted: bool = False


class Connections:
    """Counts connections by bounds; the log tells of one that is reached, at most once a minute.

    Trusted proxies stand for many clients: for their addresses only the bound in all counts.
    """

    def __init__(
        self,
        most: int,
        most_of_address: int,
        trusted_proxies: Iterable[IPv4Network | IPv6Network] = (),
        unread_bytes_max: int = LARGEST_UNREAD_BYTES,
    ) -> None:
        self.most, self.most_of_address = most, most_of_address
        self._trusted_proxies = tuple(trusted_proxies)
        self._of_address: Counter[str] = Counter()
        self._taken = self._spare = self._refused = 0
        self._told_at = -float(TOLD_EVERY_SECONDS)
        self._unread_bytes: dict[Abortable, int] = {}
        self._all_unread_bytes = 0
        self._unread_bytes_max = unread_bytes_max

    @classmethod
    def by_descriptors(cls, trusted_proxies: Iterable[IPv4Network | IPv6Network] = ()) -> Self:
        """As many as there are file descriptors for, having asked the system for more, at most 16,384.

        One address has a quarter of them.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_CONNECTIONS + DESCRIPTORS_KEPT
        to_have = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft != resource.RLIM_INFINITY and soft < to_have:
            resource.setrlimit(resource.RLIMIT_NOFILE, (to_have, hard))
        most = max(to_have - DESCRIPTORS_KEPT, SPARE_CONNECTIONS)
        return cls(most, most // ONE_ADDRESS_IN, trusted_proxies)

    def admit(self, address: str | None) -> Admission:
        """Count a connection from now on; a client without an address is bounded by no address."""
        counted_as = self._counted_as(address)
        refusal: Refusal | Failure | None = None
        if self._taken >= self.most:
            refusal = NoConnectionLeft()
        elif counted_as is not None and self._of_address[counted_as] >= self.most_of_address:
            refusal = TooManyConnections()
        if refusal is not None:
            self._spare += 1
            self._tell(address, refusal)
            return Admission(counted_as, refusal, unwanted=self._spare > SPARE_CONNECTIONS)
        self._taken += 1
        if counted_as is not None:
            self._of_address[counted_as] += 1
        return Admission(counted_as)

    def leave(self, admission: Admission) -> None:
        """The connection is gone."""
        if admission.refusal is not None:
            self._spare -= 1
            return
        self._taken -= 1
        if admission.address is not None:
            self._of_address[admission.address] -= 1
            if not self._of_address[admission.address]:
                del self._of_address[admission.address]

    def is_unread(self, connection: Abortable, size_bytes: int) -> None:
        """The client does not read so much; beyond the bound of all clients, those end that began it first."""
        self._unread_bytes[connection] = size_bytes
        self._all_unread_bytes += size_bytes
        while self._all_unread_bytes > self._unread_bytes_max:
            first = next(iter(self._unread_bytes))
            self.is_read(first)
            first.abort()

    def is_read(self, connection: Abortable) -> None:
        """The client has read it, or is gone."""
        self._all_unread_bytes -= self._unread_bytes.pop(connection, 0)

    def _counted_as(self, address: str | None) -> str | None:
        """The address; its network where one client has 2**64 of them; None for those that are not counted."""
        if address is None:
            return None
        parsed = ip_address(address)
        if isinstance(parsed, IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        if any(parsed in network for network in self._trusted_proxies):
            return None
        if isinstance(parsed, IPv6Address):
            return str(IPv6Network((int(parsed), IPV6_NETWORK_BITS), strict=False))
        return str(parsed)

    def _tell(self, address: str | None, refusal: Refusal | Failure) -> None:
        self._refused += 1
        if time.monotonic() < self._told_at + TOLD_EVERY_SECONDS:
            return
        bounds = {"connections_max": self.most, "connections_of_address_max": self.most_of_address}
        log.warning("connections refused", why=refusal.code, address=address, refused=self._refused, **bounds)
        self._refused, self._told_at = 0, time.monotonic()
