"""Keys rotate at any moment: what is sealed afterwards is signed with the new one, and what was before still holds."""

import asyncio
from functools import partial

import psycopg
import pytest

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.seals import seal_keys, seals
from tests.box_office import until
from tests.projections.histories import BoxOffice, append

IN_USE = "SELECT key_id FROM seal_keys WHERE retired_at IS NULL"
PRIVATE = "SELECT key_id FROM seal_keys WHERE private_key IS NOT NULL"
AS_MYSELF = "RESET ROLE"


@pytest.fixture
async def owner(connection: Connection) -> Connection:
    """A connection that may change the keys."""
    await connection.execute(AS_MYSELF)
    return connection


async def test_the_next_seal_is_signed_with_the_new_key_and_the_old_one_still_holds(owner: Connection) -> None:
    box_office = BoxOffice(1)
    signed: list[seals.Seal] = []
    for _ in range(3):
        await append(owner, box_office.commands(2))
        made = await seals.seal_next(owner)
        assert made
        signed.append(made)
        key_id = await seal_keys.rotate(owner)
        assert (await (await owner.execute(PRIVATE)).fetchall()) == [(key_id,)]
    keys = {key["kid"]: key for key in await seal_keys.published(owner)}
    assert len(keys) == 4
    assert [seals.check(seal.jws, keys).number for seal in signed] == [1, 2, 3]
    assert [seals.key_id_of(seal.jws) for seal in signed] == list(keys)[:3]


async def test_no_seal_is_signed_with_an_old_key_once_it_was_rotated(owner: Connection, database_url: str) -> None:
    box_office = BoxOffice(2)
    signed: list[str] = []
    is_over = asyncio.Event()

    async def seal() -> None:
        async with await connect(database_url, role=WORKER_ROLE) as worker:
            while not is_over.is_set():
                await append(worker, box_office.commands(1))
                made = await seals.seal_next(worker)
                assert made
                signed.append(made.jws)

    async def has_signed(count: int) -> bool:
        return len(signed) >= count

    async def rotate() -> None:
        for _ in range(10):
            key_id = await seal_keys.rotate(owner)
            seen = len(signed)
            # One seal may have been told of late; the one after it was begun after the rotation.
            await until(partial(has_signed, seen + 2))
            assert seals.key_id_of(signed[seen + 1]) == key_id
        is_over.set()

    await asyncio.gather(seal(), rotate())
    keys = {key["kid"]: key for key in await seal_keys.published(owner)}
    assert [seals.check(jws, keys).number for jws in signed] == list(range(1, len(signed) + 1))


async def test_of_many_who_rotate_at_once_each_has_its_key_and_one_is_in_use(database_url: str) -> None:
    async def rotate() -> str:
        async with await connect(database_url) as other:
            await other.execute(AS_MYSELF)
            return await seal_keys.rotate(other)

    made = await asyncio.gather(*(rotate() for _ in range(5)))
    async with await connect(database_url) as connection:
        ((in_use,),) = await (await connection.execute(IN_USE)).fetchall()
        published = {key["kid"] for key in await seal_keys.published(connection)}
    assert in_use in made
    assert len(set(made)) == 5
    assert set(made) < published


async def test_the_role_that_serves_may_not_rotate(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await seal_keys.rotate(connection)
