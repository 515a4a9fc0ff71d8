"""Waiting until nobody works any more, so that no run pays for what the one before has left to be done."""

import time

from bench.testbed import Testbed, connect

FOLDED_SECONDS_MAX = 120
SEALED_SECONDS_MAX = 30
# Of one core. All processes take 0.03 while nobody asks for anything, and 0.1 at times; who folds or vacuums, far more.
STILL_SHARE_MAX = 0.15
STILL_WINDOW_SECONDS = 0.4
STILL_SECONDS_MAX = 10

HEAD = "SELECT coalesce(max(notification_id), 0) FROM stored_events"
FOLDED = "SELECT position >= %s FROM checkpoint"
SEALED = "SELECT coalesce(max(last_position), 0) >= %s FROM seals"


def until_quiet(testbed: Testbed) -> None:
    """Wait until every worker has folded and sealed all there is, and nothing of the testbed is at work.

    PostgreSQL may go on by itself, with a vacuum or a checkpoint: that is waited for only so long, and then shows in
    the run's processor time. Where commits are not durable no figure counts, and only what is folded is waited for.
    """
    for program in testbed.workers():
        head = until_folded(program.database_url)
        if program.seals and testbed.is_patient and testbed.server.durable:
            until(SEALED, program.database_url, head, SEALED_SECONDS_MAX, every_seconds=0.2)
    if testbed.server.durable:
        until_still(testbed)


def until_still(testbed: Testbed) -> None:
    """Wait until all of the testbed together takes hardly any of a core, or no longer than `STILL_SECONDS_MAX`."""
    deadline = time.monotonic() + STILL_SECONDS_MAX
    before, began = testbed.seconds(), time.monotonic()
    while began < deadline:
        time.sleep(STILL_WINDOW_SECONDS)
        after, now = testbed.seconds(), time.monotonic()
        if (after - before) / (now - began) <= STILL_SHARE_MAX:
            return
        before, began = after, now


def until_folded(database_url: str) -> int:
    """Wait until the projections have reached the head of the history; returns its position."""
    with connect(database_url) as connection:
        ((head,),) = connection.execute(HEAD).fetchall()
    until(FOLDED, database_url, head, FOLDED_SECONDS_MAX)
    return int(head)


def until(reached: str, database_url: str, position: int, seconds_max: float, *, every_seconds: float = 0.02) -> None:
    """Wait until the statement says of the position that it is so. Raises RuntimeError when that takes too long."""
    with connect(database_url) as connection:
        connection.autocommit = True
        deadline = time.monotonic() + seconds_max
        while connection.execute(reached, (position,)).fetchone() != (True,):
            if time.monotonic() > deadline:
                raise RuntimeError(f"after {seconds_max} s position {position} is not there yet: {reached}")
            time.sleep(every_seconds)
