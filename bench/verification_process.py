"""One verification, or one plain reading, in a process that has nothing else in memory: `verify URL` or `read URL`."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from auditing.verify.database import one_moment
from auditing.verify.database.verify_database import verify

KILOBYTE = 1_024


async def read(database_url: str) -> int:
    """All rows in both orders, and nothing done with them; how many there are."""
    count = 0
    async with one_moment.moment(database_url) as connection:
        async for rows in one_moment.rows(connection, 0):
            count += len(rows)
        async for _ in one_moment.rows_by_stream(connection, 0):
            pass
    return count


def most_bytes() -> int:
    """The most memory that this program has had; getrusage would count what its parent had when it was started."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * KILOBYTE


def main() -> None:
    """Do it, and tell what it took."""
    what, database_url = sys.argv[1:]
    began, faults = time.monotonic(), []
    if what == "verify":
        report = asyncio.run(verify(database_url))
        domain_events = report.domain_events
        faults = [finding.sentence for finding in report.findings]
    else:
        domain_events = asyncio.run(read(database_url))
    seconds = time.monotonic() - began
    most = most_bytes() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * KILOBYTE
    told = {"domain_events": domain_events, "seconds": seconds, "most_bytes": most, "faults": faults}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
