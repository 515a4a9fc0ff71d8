"""Ways to tamper with the history itself; each names what it has done and where that has to be found."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from eventstore.postgres.connections import Connection
from eventstore.seals import seals
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.tables.all_tables import TABLES
from tests.campaigns.sealed_histories import SealedHistory

ROW = """
SELECT originator_id, originator_version, topic, state, command_position FROM stored_events
WHERE notification_id = %(p)s
"""
MOVE = "UPDATE stored_events SET notification_id = %(to)s WHERE notification_id = %(p)s"
FAR = 1_000_000_000


class Expected(NamedTuple):
    """What was done; some finding has to be at one of the positions, if any are named, and at one of the places."""

    what: str
    positions: tuple[int, ...] = ()
    places: tuple[str, ...] = ()


Tampering = Callable[[Connection, Random, SealedHistory], Awaitable[Expected]]


def sealed_position(dice: Random, history: SealedHistory) -> int:
    return dice.randint(1, history.sealed_through)


def two_positions(dice: Random, history: SealedHistory) -> tuple[int, int]:
    first, second = sorted(dice.sample(range(1, history.sealed_through + 1), 2))
    return first, second


async def row_at(connection: Connection, position: int) -> Any:
    return await (await connection.execute(ROW, {"p": position})).fetchone()


async def change(connection: Connection, position: int, column: str, value: Any) -> None:
    statement = f"UPDATE stored_events SET {column} = %(value)s WHERE notification_id = %(p)s"
    await connection.execute(statement.encode(), {"value": value, "p": position})


def altered(dice: Random, value: Any) -> Any:
    """The same JSON with one of its values changed."""
    if isinstance(value, dict) and value:
        name = dice.choice(sorted(value))
        return value | {name: altered(dice, value[name])}
    if isinstance(value, list) and value:
        place = dice.randrange(len(value))
        return [altered(dice, one) if n == place else one for n, one in enumerate(value)]
    if isinstance(value, int):
        return value + dice.choice((1, -1, 1_000))
    if isinstance(value, str) and value:
        place = dice.randrange(len(value))
        other = dice.choice([c for c in "0123456789abcdef" if c != value[place]])
        return value[:place] + other + value[place + 1 :]
    return "something"


async def edit_fact(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p = sealed_position(dice, history)
    state = msgspec.json.decode((await row_at(connection, p))[3])
    await change(connection, p, "state", msgspec.json.encode(altered(dice, state)))
    return Expected("a fact is edited", (p,))


async def edit_byte(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p = sealed_position(dice, history)
    state = bytearray((await row_at(connection, p))[3])
    state[dice.randrange(len(state))] ^= 1 << dice.randrange(8)
    await change(connection, p, "state", bytes(state))
    return Expected("a bit is flipped", (p,))


async def edit_column(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p = sealed_position(dice, history)
    _, version, topic, state, command_position = await row_at(connection, p)
    column, value = dice.choice(
        [
            ("topic", dice.choice([t for t in ("TicketsHeld", "ReservationPaid", "os:system", "") if t != topic])),
            ("originator_version", version + dice.choice((1, 1_000))),
            ("originator_id", UUID(int=dice.getrandbits(128))),
            ("command_position", command_position + dice.choice((1, 5))),
            ("state", state[:-1]),
            ("state", b""),
        ]
    )
    await change(connection, p, column, value)
    return Expected(f"{column} is edited", (p,))


async def move_far(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p = sealed_position(dice, history)
    await connection.execute(
        "UPDATE stored_events SET notification_id = %(to)s, command_position = %(to)s WHERE notification_id = %(p)s",
        {"p": p, "to": FAR},
    )
    return Expected("a position is moved", (p,))


async def swap_states(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    ours, theirs = await row_at(connection, p), await row_at(connection, q)
    await change(connection, p, "state", theirs[3])
    await change(connection, q, "state", ours[3])
    return Expected("two states are swapped", (p,))


async def swap_positions(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    ends = {p: (await row_at(connection, q))[4], q: max(q, (await row_at(connection, p))[4])}
    for position in (p, q):
        await change(connection, position, "command_position", FAR)
    for here, to in ((p, FAR), (q, p), (FAR, q)):
        await connection.execute(MOVE, {"p": here, "to": to})
    for position, end in ends.items():
        await change(connection, position, "command_position", end)
    return Expected("two positions are swapped", (p,))


async def delete_some(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    q = dice.choice((p, p, min(p + 5, q), q, history.head))
    await connection.execute("DELETE FROM stored_events WHERE notification_id BETWEEN %(p)s AND %(q)s", locals_of(p, q))
    return Expected(f"{q - p + 1} are deleted", (p,))


async def delete_and_close_up(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    q = min(q, p + dice.randint(0, 3))
    await connection.execute("DELETE FROM stored_events WHERE notification_id BETWEEN %(p)s AND %(q)s", locals_of(p, q))
    first = await first_reaching(connection, q)
    for by in (FAR, -FAR - (q - p + 1)):
        await shift(connection, q, by)
    return Expected("some are deleted and the rest moves up", (min(first, p),))


async def insert_between(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    first = await first_reaching(connection, p - 1)
    for by in (FAR, 1 - FAR):
        await shift(connection, p - 1, by)
    stream_id, _, topic, state, _ = await row_at(connection, q + 1)
    await insert(connection, p, (stream_id, 10_000, topic, state))
    return Expected("one is inserted", (min(first, p),))


async def insert_last(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    """Half of a purchase, which no rule allows."""
    while True:
        stream_id, _, topic, state, _ = await row_at(connection, sealed_position(dice, history))
        if topic.startswith(("Tickets", "Reservation")):
            break
    rows = await (
        await connection.execute(
            "SELECT max(originator_version) FROM stored_events WHERE originator_id = %(id)s", {"id": stream_id}
        )
    ).fetchall()
    await insert(connection, history.head + 1, (stream_id, rows[0][0] + 1, topic, state))
    return Expected("one is appended", (history.head + 1,))


async def insert_twice(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    p, q = two_positions(dice, history)
    await connection.execute("DROP INDEX stored_events_notification_id_key")
    _, _, topic, state, _ = await row_at(connection, q)
    await insert(connection, p, (UUID(int=dice.getrandbits(128)), 1, topic, state))
    return Expected("a position is there twice", (p,))


async def truncate(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    await connection.execute("TRUNCATE stored_events")
    return Expected("the history is emptied", (1,))


async def rewrite(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    """With the key, and with everything made to fit: only who has kept a seal can tell."""
    p = sealed_position(dice, history)
    if dice.random() < 0.5:
        end = (await row_at(connection, p))[4]
        await connection.execute("DELETE FROM stored_events WHERE notification_id > %(p)s", {"p": end})
        what = "the end of the history is deleted and sealed anew"
    else:
        state = msgspec.json.decode((await row_at(connection, p))[3])
        state["idempotency"] = {"key_sha256": f"{dice.getrandbits(256):064x}", "request_sha256": "0" * 64}
        await change(connection, p, "state", msgspec.json.encode(state))
        what = "a fact is edited and all is sealed anew"
    await make_fit(connection, p)
    return Expected(what, (), (f"seal {history.seals}",))


async def make_fit(connection: Connection, position: int) -> None:
    """Seal again from a position on, fold again, and drop the snapshots."""
    await connection.execute("DELETE FROM snapshots")
    await connection.execute("DELETE FROM seals WHERE last_position >= %(p)s", {"p": position})
    for table in TABLES:
        await connection.execute(f"TRUNCATE {table.name}".encode())
    await connection.execute("UPDATE checkpoint SET position = 0")
    batches = Batches(connection, await checkpoint.read(connection))
    while await batches.fold_next():
        pass
    await seals.seal_next(connection)


async def first_reaching(connection: Connection, position: int) -> int:
    """The first position whose command ends after another: moving what comes after that one alters it as well."""
    query = "SELECT coalesce(min(notification_id), %(p)s + 1) FROM stored_events WHERE command_position > %(p)s"
    rows = await (await connection.execute(query, {"p": position})).fetchall()
    return int(rows[0][0])


async def shift(connection: Connection, after: int, by: int) -> None:
    """Move all positions after one, and whose commands end after it; far away and back, so that none meet."""
    await connection.execute(
        """
        UPDATE stored_events SET notification_id = notification_id + CASE WHEN notification_id > %(p)s
                                                                     THEN %(by)s ELSE 0 END,
                                 command_position = command_position + %(by)s
        WHERE command_position > %(p)s
        """,
        {"p": after, "by": by},
    )


async def insert(connection: Connection, position: int, row: tuple[UUID, int, str, bytes]) -> None:
    await connection.execute(
        """
        INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
        VALUES (%(id)s, %(version)s, %(topic)s, %(state)s, %(p)s, %(p)s)
        """,
        dict(zip(("id", "version", "topic", "state"), row, strict=True)) | {"p": position},
    )


def locals_of(p: int, q: int) -> dict[str, int]:
    return {"p": p, "q": q}


OF_HISTORY: list[Tampering] = [
    edit_fact,
    edit_byte,
    edit_column,
    move_far,
    swap_states,
    swap_positions,
    delete_some,
    delete_and_close_up,
    insert_between,
    insert_last,
    insert_twice,
    truncate,
    rewrite,
]
