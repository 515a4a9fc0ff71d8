"""`tixxety newest-seal`: the newest seal leaves the box office as a file that anybody can check."""

import asyncio
import json
from pathlib import Path

import jwt
import psycopg
import pytest

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.seals import seals
from tests.projections.histories import BoxOffice, append
from tests.tixxety.forked import run_command as tixxety
from tixxety.commands.newest_seal import read_newest
from tixxety.errors import Failure


async def seal_three_times(database_url: str) -> None:
    box_office = BoxOffice(1)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        for _ in range(3):
            await append(connection, box_office.commands(5))
            await seals.seal_next(connection)


@pytest.fixture
def sealed_url(database_url: str) -> str:
    """A box office with three seals."""
    asyncio.run(seal_three_times(database_url))
    return database_url


def test_the_newest_seal_can_be_checked_with_any_jose_library(sealed_url: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    printed = tixxety("newest-seal", DATABASE_URL=sealed_url)
    written = tixxety("newest-seal", "--to", str(file), DATABASE_URL=sealed_url)
    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, "")
    kept = json.loads(printed.stdout)
    assert json.loads(file.read_text()) == kept
    assert list(tmp_path.iterdir()) == [file]
    claims = jwt.decode(kept["seal"], jwt.PyJWK(kept["key"]), algorithms=["EdDSA"])
    assert jwt.get_unverified_header(kept["seal"])["kid"] == kept["key"]["kid"]
    assert {name: claims[name] for name in ("number", "last_position", "sealed_at")} == {
        name: kept[name] for name in ("number", "last_position", "sealed_at")
    }
    assert kept["number"] == 3


async def test_without_a_seal_it_says_so(database_url: str) -> None:
    with pytest.raises(Failure, match=r"^Nothing is sealed yet: "):
        await read_newest(database_url)


async def test_a_seal_that_does_not_hold_is_not_given_out(database_url: str) -> None:
    await seal_three_times(database_url)
    with psycopg.connect(database_url) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute("UPDATE tixxety.seals SET jws = left(jws, -60) || repeat('A', 60) WHERE number = 3")
    with pytest.raises(seals.SealInvalid, match="signature is wrong"):
        await read_newest(database_url)
