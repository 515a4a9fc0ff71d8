"""Seals cover the history without a gap, each signed and bound to the one before."""

import asyncio
from hashlib import sha256

import jwt
import pytest
from psycopg.errors import InsufficientPrivilege, RestrictViolation

from eventstore import reading
from eventstore.postgres.connections import Connection, connect, connect_as_owner
from eventstore.seals import seal_keys, seals
from eventstore.seals.merkle import leaf_hash, root_hash
from eventstore.seals.seals import Seal, SealInvalid
from eventstore.writing.group_commit import GroupCommit
from eventstore.writing.group_transaction import Outcome
from tests import box_office
from tests.projections.histories import BoxOffice, append


@pytest.fixture
def connection(worker: Connection) -> Connection:
    """Who seals is the worker."""
    return worker


async def keys_of(connection: Connection) -> dict[str, seal_keys.Jwk]:
    return {key["kid"]: key for key in await seal_keys.published(connection)}


async def sealed(connection: Connection) -> Seal:
    """The next seal, which there must be."""
    seal = await seals.seal_next(connection)
    assert seal is not None
    return seal


async def test_an_empty_history_has_no_seal(connection: Connection) -> None:
    assert await seals.seal_next(connection) is None
    assert await seals.newest(connection) is None


async def test_seals_cover_everything_once(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "RANGE_POSITIONS", 50)
    monkeypatch.setattr(seals, "PAGE_POSITIONS", 7)
    office = BoxOffice(3)
    head = await append(connection, office.commands(60))
    while await seals.seal_next(connection):
        pass
    head = await append(connection, office.commands(5))
    await sealed(connection)
    assert await seals.seal_next(connection) is None
    keys, position, before = await keys_of(connection), 0, seals.NONE_BEFORE
    for number, seal in enumerate(await seals.after(connection, 0, 100), start=1):
        claims = seals.check(seal.jws, keys)
        rows = await reading.rows_after(connection, position, seal.positions)
        leaves = [leaf_hash(row) for row in rows]
        assert (claims.number, claims.first_position, claims.last_position) == (
            number,
            position + 1,
            seal.last_position,
        )
        assert (claims.root_sha256, claims.previous_sha256) == (root_hash(leaves).hex(), before)
        assert seal == Seal(number, position + 1, rows[-1].position, claims.sealed_at, seal.jws, seal.fingerprints)
        assert seal.fingerprints == b"".join(leaf[:4] for leaf in leaves)
        assert rows[-1].position == rows[-1].command_position, "no command is cut"
        position, before = seal.last_position, sha256(seal.jws.encode()).hexdigest()
    assert position == head
    assert number > 3


async def test_any_jose_library_can_check_a_seal(connection: Connection) -> None:
    await append(connection, BoxOffice(3).commands(3))
    seal = await sealed(connection)
    (key,) = await seal_keys.published(connection)
    assert set(key) == {"crv", "kty", "x", "kid", "use", "alg"}
    payload = jwt.decode(seal.jws, jwt.PyJWK(key), algorithms=["EdDSA"])
    assert payload["last_position"] == await reading.head(connection)
    assert jwt.get_unverified_header(seal.jws) == {"alg": "EdDSA", "kid": key["kid"], "typ": "tixxety-seal"}


async def test_a_new_key_signs_from_then_on_and_the_old_one_stays_published(
    connection: Connection, database_url: str
) -> None:
    office = BoxOffice(3)
    await append(connection, office.commands(3))
    first = await sealed(connection)
    async with await connect_as_owner(database_url) as owner:
        key_id = await seal_keys.rotate(owner)
        rows = await (await owner.execute("SELECT key_id, private_key FROM seal_keys ORDER BY created_at")).fetchall()
        await append(connection, office.commands(3))
        second = await sealed(connection)
    assert [private is None for _, private in rows] == [True, False]
    assert (seals.key_id_of(first.jws), seals.key_id_of(second.jws)) == (rows[0][0], key_id)
    keys = await keys_of(connection)
    assert [seals.check(seal.jws, keys).number for seal in (first, second)] == [1, 2]


async def test_migrating_again_keeps_the_key(connection: Connection, database_url: str) -> None:
    before = await seal_keys.published(connection)
    async with await connect_as_owner(database_url) as owner:
        await seal_keys.ensure(owner)
    assert await seal_keys.published(connection) == before
    assert len(before) == 1


async def test_what_is_no_seal_of_ours_is_refused(connection: Connection) -> None:
    await append(connection, BoxOffice(3).commands(3))
    seal, keys = await sealed(connection), await keys_of(connection)
    head, payload, signature = seal.jws.split(".")
    altered = payload[:-3] + ("AAA" if payload[-3:] != "AAA" else "BBB")
    (key,) = keys.values()
    with pytest.raises(SealInvalid, match="This is no seal"):
        seals.check("nothing", keys)
    with pytest.raises(SealInvalid, match="signature is wrong"):
        seals.check(f"{head}.{altered}.{signature}", keys)
    with pytest.raises(SealInvalid, match="unknown key"):
        seals.check(seal.jws, {})
    with pytest.raises(SealInvalid, match="unknown key"):
        seals.check(seal.jws, {key["kid"]: {**key, "x": "A" * 43}})
    symmetric = jwt.encode({"number": 1}, key["x"] * 2, "HS256", headers={"kid": key["kid"]})
    with pytest.raises(SealInvalid, match="signature is wrong"):
        seals.check(symmetric, keys)


async def test_seals_and_reads_are_append_only(connection: Connection, database_url: str) -> None:
    await append(connection, BoxOffice(3).commands(3))
    await sealed(connection)
    changes = ["UPDATE seals SET number = 2", "DELETE FROM seals", "TRUNCATE seals", "DELETE FROM audit_reads"]
    async with await connect_as_owner(database_url) as owner:
        for change in changes:
            with pytest.raises(InsufficientPrivilege):
                await connection.execute(change)
            with pytest.raises(RestrictViolation, match="append-only"):
                await owner.execute(change)


async def test_who_serves_can_not_change_the_keys(connection: Connection) -> None:
    for change in ("UPDATE seal_keys SET retired_at = now()", "DELETE FROM seal_keys"):
        with pytest.raises(InsufficientPrivilege):
            await connection.execute(change)


async def test_what_was_sealed_in_a_rush_adds_up(
    database_url: str, connection: Connection, commands: GroupCommit
) -> None:
    """Positions are in commit order, so that no domain event ever comes up behind a seal."""
    async with await connect(database_url) as app:
        organiser, *buyers = await box_office.register(app, 401)
    event = box_office.create(organiser, capacity=1_000)
    await commands.submit(event)
    wishes = [box_office.reserve(event.event_id, buyer) for buyer in buyers]
    rush = asyncio.create_task(box_office.submit_all(commands, wishes))
    while not rush.done():
        await seals.seal_next(connection)
    assert box_office.count(rush.result(), Outcome) == 400
    while await seals.seal_next(connection):
        pass
    made = await seals.after(connection, 0, 10_000)
    assert [seal.first_position for seal in made] == [1, *(seal.last_position + 1 for seal in made[:-1])]
    assert made[-1].last_position == await reading.head(connection) == 801
    assert len(made) > 1
