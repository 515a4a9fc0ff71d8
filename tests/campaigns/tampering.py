"""Tampers with sealed histories as a superuser for whom no trigger fires, and sees that verification finds each place.

`python -m tests.campaigns.tampering --rounds 1000 --seed 1` in the project's environment; ends with 1 at the first
tampering that is not found, and at the first finding in a history that nobody has touched.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import psycopg

from auditing.findings import Report
from auditing.verify.database.verify_database import verify, verify_moment
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect, connect_as_owner
from tests.campaigns.sealed_histories import SealedHistory, make_history
from tests.campaigns.tampering_history import OF_HISTORY, Expected, Tampering
from tests.campaigns.tampering_made import OF_SEALS, OF_SNAPSHOTS, OF_TABLES
from tests.conftest import fresh_database
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate

PER_HISTORY = 20
UNTOUCHED = 100
KINDS: list[list[Tampering]] = [OF_HISTORY, OF_SEALS, OF_SNAPSHOTS, OF_TABLES]
WEIGHTS = (45, 20, 10, 25)
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
# Neither possible here, nor of any effect: something else is tried.
IMPOSSIBLE = (psycopg.IntegrityError, psycopg.DataError, IndexError, ValueError)


@asynccontextmanager
async def superuser(database_url: str) -> AsyncIterator[Connection]:
    """Somebody with full rights, for whom triggers don't fire."""
    settings = {"session_replication_role": "replica", "idle_in_transaction_session_timeout": "0"}
    async with await connect_as_owner(database_url, **settings) as connection:
        yield connection


async def tampered(connection: Connection, dice: Random, history: SealedHistory) -> tuple[Expected, Report]:
    """Tamper once in a way that is possible, verify, and undo it."""
    while True:
        (kinds,) = dice.choices(KINDS, WEIGHTS)
        await connection.execute(BEGIN)
        try:
            expected = await dice.choice(kinds)(connection, dice, history)
            return expected, await verify_moment(connection, kept=history.kept)
        except IMPOSSIBLE:
            continue
        finally:
            await connection.rollback()


def is_found(expected: Expected, report: Report) -> bool:
    """Whether some finding is where the tampering was, and none before it but in the other half of its purchase."""
    if expected.positions and (report.findings[0].position or 0) < min(expected.positions) - 1:
        return False
    return any(
        (not expected.positions or finding.position in expected.positions)
        and (not expected.places or any(place in finding.place for place in expected.places))
        for finding in report.findings
    )


async def tamper_with_history(database_url: str, seed: int, rounds: int, counted: Counter[str]) -> list[str]:
    """Make a history, verify it untouched, tamper so often; what was not as it should be."""
    dice = Random(seed)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        history = await make_history(connection, seed)
    untouched = await verify(database_url, kept=history.kept)
    counted["untouched"] += 1
    if not untouched.ok:
        return [f"seed {seed}, untouched: {untouched.findings}"]
    async with superuser(database_url) as connection:
        for number in range(rounds):
            expected, report = await tampered(connection, dice, history)
            counted[expected.what] += 1
            if not is_found(expected, report):
                return [f"seed {seed}, tampering {number}: {expected}; found {report.findings}"]
    return []


@contextmanager
def databases(server_url: str) -> Iterator[Iterator[str]]:
    """Fresh box offices, each dropped when the next one is asked for."""

    def fresh(template: str) -> Iterator[str]:
        while True:
            with fresh_database(server_url, template) as url:
                yield url

    with fresh_database(server_url) as url:
        migrate(url)
        each = fresh(urlsplit(url).path[1:])
        try:
            yield each
        finally:
            each.close()  # type: ignore[attr-defined]


def run(server_url: str, rounds: int, seed: int) -> int:
    """So many tamperings with histories of their own, and `UNTOUCHED` histories at least; the exit code."""
    counted: Counter[str] = Counter()
    began = time.monotonic()
    with databases(server_url) as each:
        for number in range(max(UNTOUCHED, -(-rounds // PER_HISTORY))):
            left = max(0, min(PER_HISTORY, rounds - number * PER_HISTORY))
            wrong = asyncio.run(tamper_with_history(next(each), seed + number, left, counted))
            if wrong:
                sys.stdout.write("\n".join(wrong) + "\n")
                return 1
            if number % 10 == 9:
                sys.stdout.write(f"{number + 1} histories, {counted.total() - counted['untouched']} tamperings\n")
                sys.stdout.flush()
    for what, count in sorted(counted.items()):
        sys.stdout.write(f"{count:6} {what}\n")
    sys.stdout.write(f"all found, in {time.monotonic() - began:.0f} s\n")
    return 0


def main() -> None:
    """Tamper and verify."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randint(0, 2**32))
    chosen = options.parse_args()
    sys.stdout.write(f"seed {chosen.seed}\n")
    if url := os.environ.get("TEST_DATABASE_URL"):
        sys.exit(run(url, chosen.rounds, chosen.seed))
    with tempfile.TemporaryDirectory(prefix="tixxety-tampering-") as home:
        server = EmbeddedPostgres(Path(home), durable=False)
        try:
            sys.exit(run(server.start(), chosen.rounds, chosen.seed))
        finally:
            server.discard()


if __name__ == "__main__":
    main()
