"""What is tried next after what: a command is told unknown only when it is, and fails its neighbours never."""

import psycopg
import pytest

from eventstore.errors import DatabaseAway, DecisionFailed, DiskFull, ReadOnly
from eventstore.writing.waiting_command import Attempt, next_after

LOST = psycopg.OperationalError()
FULL, READ_ONLY = psycopg.errors.DiskFull(), psycopg.errors.ReadOnlySqlTransaction()
LOCKED, TAKEN = psycopg.errors.LockNotAvailable(), psycopg.errors.UniqueViolation()
FIRST, AGAIN, ALONE = Attempt


@pytest.mark.parametrize(
    ("attempt", "error", "answer"),
    [
        (FIRST, LOST, AGAIN),
        (AGAIN, LOST, DatabaseAway),
        (ALONE, LOST, DatabaseAway),
        (FIRST, FULL, DiskFull),
        (AGAIN, FULL, DatabaseAway),
        (FIRST, READ_ONLY, ReadOnly),
        (AGAIN, READ_ONLY, DatabaseAway),
        (FIRST, LOCKED, FIRST),
        (AGAIN, LOCKED, AGAIN),
        (FIRST, TAKEN, ALONE),
        (AGAIN, TAKEN, ALONE),
        (ALONE, TAKEN, DecisionFailed),
    ],
)
def test_next(attempt: Attempt, error: Exception, answer: object) -> None:
    following = next_after(attempt, error)
    assert following is answer or type(following) is answer
