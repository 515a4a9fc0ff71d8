"""A process of its own that reserves tickets: python -m tests.eventstore.writing.other_process URL EVENT_IDS BUYER_IDS.

Says `ready`, waits for a line on standard input, and at its end says how often it got which answer.
"""

import asyncio
import sys
from collections import Counter
from uuid import UUID

import msgspec

from eventstore.writing.group_commit import GroupCommit
from tests import box_office


async def write(database_url: str, event_ids: list[UUID], buyer_ids: list[UUID]) -> dict[str, int]:
    """Every buyer wants a ticket of each event, twice; in small groups, so that processes take turns."""
    told: Counter[str] = Counter()
    async with GroupCommit(database_url, group_commands=16) as commands:
        say(b"ready")
        await asyncio.to_thread(sys.stdin.readline)
        for _ in range(2):
            wishes = [box_office.reserve(event_id, buyer) for buyer in buyer_ids for event_id in event_ids]
            answers = await box_office.submit_all(commands, wishes)
            told.update(type(answer).__name__ for answer in answers)
    return told


def say(line: bytes) -> None:
    """One line for the one who started this process."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


def main() -> None:
    database_url, event_ids, buyer_ids = sys.argv[1:]
    ids = msgspec.json.decode(f"[{event_ids},{buyer_ids}]", type=list[list[UUID]])
    say(msgspec.json.encode(asyncio.run(write(database_url, *ids))))


if __name__ == "__main__":
    main()
