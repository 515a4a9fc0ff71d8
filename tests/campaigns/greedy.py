"""One account storms an event over a thousand connections; another buyer is served as if it were hardly there.

`python -m tests.campaigns.greedy --connections 1000 --seconds 5` in the project's environment; ends with 1 when the
other buyer gets less than half of what it gets alone, or any answer but yes.
"""

import argparse
import statistics
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from bench import rushes
from bench.load import Load
from bench.rushes import HUGE, Site
from bench.testbed import Testbed, open_testbed
from tests.tixxety.waiting_for_processes import until

LEAST_SHARE = 0.5
BUYER_CONNECTIONS = 2
# The storm has to be there before the buyer comes, and stay until it has left.
LEAD_SECONDS = 2.0


class Share(NamedTuple):
    """What the buyer got each second alone and beside the storm, and what both were told."""

    alone: Load
    beside: Load
    storm: Load

    @property
    def of_alone(self) -> float:
        """1 when the storm costs the buyer nothing."""
        return (self.beside.accepted / self.beside.seconds) / (self.alone.accepted / self.alone.seconds)

    @property
    def is_overloaded(self) -> bool:
        """Whether the buyer was told anything but yes."""
        return bool(self.beside.refused or self.beside.broken)

    def __str__(self) -> str:
        each = ", ".join(f"{count} × {status}" for status, count in sorted(self.storm.statuses.items()))
        return (
            f"alone {self.alone.accepted / self.alone.seconds:.0f}/s, beside the storm "
            f"{self.beside.accepted / self.beside.seconds:.0f}/s: {self.of_alone:.2f} "
            f"(p99 {self.beside.p99_ms:.0f} ms, statuses {self.beside.statuses}); the storm was told {each}"
        )


def share(site: Site, connections: int, seconds: float, lead_seconds: float = LEAD_SECONDS) -> Share:
    """Let the buyer reserve alone, and then beside the storm, on a new event."""
    testbed = site.testbed
    event = site.open_event(max_per_buyer=HUGE)
    body = {"event_id": event["id"]}
    greedy, buyer = (rushes.wishes(site.url, [token], [body]) for token in testbed.tokens[1:3])

    def buys() -> Load:
        return testbed.clients(site.url, buyer, BUYER_CONNECTIONS, seconds, by_status=True).load()

    alone = buys()
    storm = testbed.clients(site.url, greedy, connections, seconds + 2 * lead_seconds, by_status=True)
    until_storming(site, connections)
    return Share(alone, buys(), storm.load())


def until_storming(site: Site, connections: int) -> None:
    """Wait until all connections of the storm are open. Fails where the server lets in fewer."""
    port = urlsplit(site.url).port

    def all_are_open() -> bool:
        return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.net_connections("tcp4")) >= connections

    until(all_are_open)


def campaign(testbed: Testbed, connections: int, seconds: float, rounds: int) -> list[Share]:
    """So many rounds on one box office."""
    with rushes.opened(testbed) as site:
        share(site, 1, 1)
        shares = []
        for number in range(1, rounds + 1):
            shares.append(share(site, connections, seconds))
            sys.stdout.write(f"round {number}: {shares[-1]}\n")
            sys.stdout.flush()
        if found := site.faults():
            raise AssertionError(found)
    return shares


def main() -> None:
    """Measure, and judge by the median."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--connections", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    with open_testbed(3) as testbed:
        shares = campaign(testbed, chosen.connections, chosen.seconds, chosen.rounds)
    median = statistics.median(one.of_alone for one in shares)
    sys.stdout.write(f"median share {median:.2f}\n")
    sys.exit(1 if median < LEAST_SHARE or any(one.is_overloaded for one in shares) else 0)


if __name__ == "__main__":
    main()
