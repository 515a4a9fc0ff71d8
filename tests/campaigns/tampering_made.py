"""Ways to tamper with what is made of the history: seals, their keys, snapshots, and the tables for reading."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from eventstore import snapshots
from eventstore.postgres.connections import Connection
from projections.tables.all_tables import TABLES
from projections.tables.table import Table
from tests.campaigns.sealed_histories import SealedHistory
from tests.campaigns.tampering_history import Expected, Tampering

SEAL = "SELECT first_position, last_position, sealed_at, jws, fingerprints FROM seals WHERE number = %(n)s"
SNAPSHOT = "SELECT originator_version, state FROM snapshots WHERE originator_id = %(id)s"
COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'projections' AND table_name = %(table)s AND is_generated = 'NEVER' ORDER BY ordinal_position
"""
# What the event's stream says of a reservation has no row in the trail.
FIRST_STEP_AFTER = """
SELECT min(notification_id) FROM stored_events WHERE notification_id > %(position)s AND topic NOT LIKE 'Tickets%%'
"""
OTHER_VALUES: dict[str, str] = {
    "uuid": "gen_random_uuid()",
    "text": "coalesce({}, '') || 'x'",
    "integer": "coalesce({}, 0) + 1",
    "integer[]": "{} || 1",
    "bigint": "coalesce({}, 0) + 1",
    "numeric": "coalesce({}, 0) + 1",
    "timestamp with time zone": "coalesce({} + interval '1 second', now())",
}


async def edit_seal(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    n = dice.randint(1, history.seals)
    _, _, sealed_at, jws, prints = await one(connection, SEAL, n=n)
    place, bit = dice.randrange(len(prints)), 1 << dice.randrange(8)
    at = dice.randrange(len(jws))
    column, value = dice.choice(
        [
            ("sealed_at", sealed_at + timedelta(seconds=1)),
            ("fingerprints", prints[:place] + bytes([prints[place] ^ bit]) + prints[place + 1 :]),
            ("jws", jws[:at] + dice.choice([c for c in "ABCabc012_-." if c != jws[at]]) + jws[at + 1 :]),
            ("jws", jws[:-40]),
        ]
        + ([("number", history.seals + dice.randint(1, 3))] if n < history.seals else [])
    )
    await connection.execute(
        f"UPDATE seals SET {column} = %(value)s WHERE number = %(n)s".encode(), locals_of(value, n)
    )
    return Expected(f"{column} of a seal is edited", (), seals_from(n, 2))


async def move_seal(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    n = dice.randint(1, history.seals)
    await connection.execute(
        "UPDATE seals SET first_position = first_position + 1, last_position = last_position + 1 WHERE number = %(n)s",
        {"n": n},
    )
    return Expected("a seal's range is edited", (), seals_from(n))


async def swap_seals(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    first, second = sorted(dice.sample(range(1, history.seals + 1), 2))
    ours, theirs = await one(connection, SEAL, n=first), await one(connection, SEAL, n=second)
    for n, jws in ((first, theirs[3]), (second, ours[3])):
        await connection.execute("UPDATE seals SET jws = %(jws)s WHERE number = %(n)s", {"jws": jws, "n": n})
    return Expected("two seals are swapped", (), seals_from(first))


async def delete_seals(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    first = dice.randint(1, history.seals)
    last = dice.choice((first, history.seals))
    await connection.execute("DELETE FROM seals WHERE number BETWEEN %(value)s AND %(n)s", locals_of(first, last))
    named = last if last == history.seals else last + 1
    return Expected("seals are deleted", (), seals_from(named))


async def truncate_seals(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    await connection.execute("TRUNCATE seals")
    return Expected("all seals are deleted", (), seals_from(history.seals))


async def insert_seal(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    _, _, sealed_at, jws, prints = await one(connection, SEAL, n=dice.randint(1, history.seals))
    await connection.execute(
        """
        INSERT INTO seals (number, first_position, last_position, sealed_at, jws, fingerprints)
        VALUES (%(n)s, %(first)s, %(last)s, %(at)s, %(jws)s, %(prints)s)
        """,
        {
            "n": history.seals + 1,
            "first": history.sealed_through + 1,
            "last": history.sealed_through + len(prints) // 4,
            "at": sealed_at,
            "jws": jws,
            "prints": prints,
        },
    )
    return Expected("a seal is inserted", (), seals_from(history.seals + 1))


async def edit_key(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    statement = dice.choice(
        (
            "DELETE FROM seal_keys",
            """UPDATE seal_keys SET public_key = replace(public_key, '"x":"', '"x":"A')""",
            "UPDATE seal_keys SET key_id = reverse(key_id)",
        )
    )
    await connection.execute(statement.encode())
    return Expected("the key of the seals is altered", (), seals_from(1))


async def edit_snapshot(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    stream_id = dice.choice(history.snapshot_streams)
    version, state = await one(connection, SNAPSHOT, id=stream_id)
    event = snapshots.unpack(version, state)
    stock = dice.choice(list(event.stock.values()))
    match dice.choice(("held", "capacity", "limits", "buyers", "cut", "version")):
        case "held":
            stock.held += 1
        case "capacity":
            stock.capacity += 1
        case "limits":
            event.limits = type(event.limits)(max_per_buyer=event.limits.max_per_buyer + 1)
        case "buyers" if event.buyers:
            event.buyers.popitem()
        case "cut":
            state = state[: dice.randrange(len(state))]
            await keep(connection, stream_id, version, state)
            return Expected("a snapshot is cut", (), (f"snapshot of stream {stream_id}",))
        case _:
            version += dice.choice((1, -1, 1_000)) if version > 1 else 1
            await keep(connection, stream_id, version, state)
            return Expected("a snapshot's version is edited", (), (f"snapshot of stream {stream_id}",))
    await keep(connection, stream_id, version, snapshots.pack(event))
    return Expected("a snapshot is edited", (), (f"snapshot of stream {stream_id}",))


async def swap_snapshots(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    first, second = dice.sample(history.snapshot_streams, 2)
    ours, theirs = await one(connection, SNAPSHOT, id=first), await one(connection, SNAPSHOT, id=second)
    await keep(connection, first, *theirs)
    await keep(connection, second, *ours)
    return Expected("two snapshots are swapped", (), (f"snapshot of stream {first}",))


async def insert_snapshot(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    """Of a reservation, or of nothing."""
    (stream_id,) = await one(
        connection, "SELECT originator_id FROM stored_events WHERE topic = 'ReservationPlaced' ORDER BY 1 LIMIT 1"
    )
    stream_id = dice.choice((stream_id, UUID(int=dice.getrandbits(128))))
    _, state = await one(connection, SNAPSHOT, id=dice.choice(history.snapshot_streams))
    await connection.execute(
        """
        INSERT INTO snapshots (originator_id, originator_version, shape_version, state, position)
        VALUES (%(id)s, 1, %(shape)s, %(state)s, 1)
        """,
        {"id": stream_id, "shape": snapshots.SHAPE_VERSION, "state": state},
    )
    return Expected("a snapshot is inserted", (), (f"snapshot of stream {stream_id}",))


async def edit_row(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    table = dice.choice(TABLES)
    key = await any_key(connection, dice, table)
    columns = await (await connection.execute(COLUMNS, {"table": table.name})).fetchall()
    column, kind = dice.choice([(name, kind) for name, kind in columns if name not in table.key_columns])
    value = OTHER_VALUES[kind].format(column)
    statement = f"UPDATE {table.name} SET {column} = {value} WHERE {matches(table)}"
    await connection.execute(statement.encode(), key)
    return Expected(f"{column} of {table.name} is edited", (), (place(table, key),))


async def delete_row(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    table = dice.choice(TABLES)
    key = await any_key(connection, dice, table)
    await connection.execute(f"DELETE FROM {table.name} WHERE {matches(table)}".encode(), key)
    return Expected(f"a row of {table.name} is deleted", (), (place(table, key),))


async def insert_row(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    """A copy of a row, under a key that no domain event makes."""
    table = dice.choice([table for table in TABLES if table.name != "ticket_types"])
    key = await any_key(connection, dice, table)
    changed = table.key_columns[0]
    other = history.head + 7 if changed == "position" else UUID(int=dice.getrandbits(128))
    columns = [name for name, _ in await (await connection.execute(COLUMNS, {"table": table.name})).fetchall()]
    selected = ", ".join("%(other)s" if name == changed else name for name in columns)
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {selected} FROM {table.name}"
    await connection.execute(f"{statement} WHERE {matches(table)}".encode(), key | {"other": other})
    return Expected(f"a row of {table.name} is inserted", (), (place(table, key | {changed: other}),))


async def truncate_table(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    table = dice.choice(TABLES)
    await any_key(connection, dice, table)
    await connection.execute(f"TRUNCATE {table.name}".encode())
    return Expected(f"{table.name} is emptied", (), (f"table {table.name}",))


async def move_checkpoint(connection: Connection, dice: Random, history: SealedHistory) -> Expected:
    (position,) = await one(connection, "SELECT position FROM checkpoint")
    (first,) = await one(connection, FIRST_STEP_AFTER, position=position)
    ahead = "table checkpoint" if first is None else f"table audit_trail, position {first}"
    to, where = dice.choice(((position - 1, f"table audit_trail, position {position}"), (history.head + 1, ahead)))
    await connection.execute("UPDATE checkpoint SET position = %(to)s", {"to": to})
    return Expected("the checkpoint is moved", (), (where,))


def matches(table: Table) -> str:
    return " AND ".join(f"{name} = %({name})s" for name in table.key_columns)


def place(table: Table, key: dict[str, Any]) -> str:
    return f"table {table.name}, " + " ".join(f"{column} {key[column]}" for column in table.key_columns)


async def any_key(connection: Connection, dice: Random, table: Table) -> dict[str, Any]:
    names = ", ".join(table.key_columns)
    rows = await (await connection.execute(f"SELECT {names} FROM {table.name} ORDER BY {names}".encode())).fetchall()
    return dict(zip(table.key_columns, dice.choice(rows), strict=True))


async def one(connection: Connection, query: str, **values: Any) -> Any:
    row = await (await connection.execute(query.encode(), values)).fetchone()
    assert row is not None
    return row


async def keep(connection: Connection, stream_id: UUID, version: int, state: bytes) -> None:
    await connection.execute(
        "UPDATE snapshots SET originator_version = %(v)s, state = %(state)s WHERE originator_id = %(id)s",
        {"v": version, "state": state, "id": stream_id},
    )


def seals_from(number: int, count: int = 1) -> tuple[str, ...]:
    return tuple(f"seal {number + n}" for n in range(count))


def locals_of(value: Any, n: int) -> dict[str, Any]:
    return {"value": value, "n": n}


OF_SEALS: list[Tampering] = [
    edit_seal,
    move_seal,
    swap_seals,
    delete_seals,
    truncate_seals,
    insert_seal,
    edit_key,
]
OF_SNAPSHOTS: list[Tampering] = [edit_snapshot, swap_snapshots, insert_snapshot]
OF_TABLES: list[Tampering] = [edit_row, delete_row, insert_row, truncate_table, move_checkpoint]
