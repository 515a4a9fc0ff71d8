"""An export is what is stored, at one moment: nothing left out, nothing put in, and with what proves it."""

import asyncio
import io
import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pyarrow.parquet as pq
import pytest

from auditing.export.errors import EventUnknown, Unexportable
from auditing.export.write_export import Ndjson, export
from eventstore import reading
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from eventstore.reading import StoredRow
from eventstore.seals import seal_keys, seals
from eventstore.seals.merkle import leaf_hash, root_with_proof
from tests.auditing.sealed_histories import as_cloud_events, as_ndjson, as_parquet, sealed_history
from tests.projections.histories import append

Line = dict[str, Any]
ROWS = """
SELECT position, stream::text AS stream, type, event_id::text AS event_id FROM (
    SELECT position, stream, type, coalesce(state ->> 'event_id', stream::text) AS event_id FROM history) AS told
ORDER BY position
"""
# Streams of one domain event each, with states of the usual size.
MANY = """
INSERT INTO stored_events
SELECT gen_random_uuid(), 1, 'ReservationPlaced', convert_to(json_build_object('timestamp', repeat('x', 400))::text,
       'UTF8'), n, n FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""
DAMAGE = """
UPDATE tixxety.stored_events SET state = %(state)s WHERE notification_id = 5
"""


def of_kind(exported: bytes, kind: str) -> list[Line]:
    return [line for line in map(json.loads, exported.splitlines()) if line["kind"] == kind]


def as_row(line: Line, exported_line: bytes) -> StoredRow:
    """The row that a line tells of, its state cut out as it stands there."""
    state = exported_line[exported_line.index(b'"state":') + len(b'"state":') : -1]
    return StoredRow(
        line["position"], line["command_position"], UUID(line["stream"]), line["version"], line["type"], state
    )


def exported_rows(exported: bytes) -> list[StoredRow]:
    lines = [(json.loads(line), line) for line in exported.splitlines()]
    return [as_row(line, text) for line, text in lines if line["kind"] == "domain-event"]


async def test_everything_is_every_row_and_every_seal(connection: Connection, database_url: str) -> None:
    await sealed_history(connection)
    exported = await as_ndjson(database_url)
    stored = await reading.rows_after(connection, 0, 10_000)
    assert exported_rows(exported) == stored
    kept = await seals.after(connection, 0, 1_000)
    assert [line["jws"] for line in of_kind(exported, "seal")] == [seal.jws for seal in kept]
    assert [{**line, "kind": None} for line in of_kind(exported, "key")] == [
        {**key, "kind": None} for key in await seal_keys.published(connection)
    ]
    (head,), (end,) = of_kind(exported, "export"), of_kind(exported, "end")
    assert (head["scope"], head["head"], head["format_version"]) == ("everything", len(stored), 1)
    assert datetime.fromisoformat(head["exported_at"]).utcoffset() is not None
    assert (end["domain_events"], end["seals"]) == (len(stored), len(kept))
    assert end["sha256"] == sha256(exported[: exported.rindex(b'{"kind":"end"')]).hexdigest()


async def test_a_seal_comes_after_the_last_domain_event_that_it_covers(
    connection: Connection, database_url: str
) -> None:
    await sealed_history(connection, seed=2)
    position = 0
    for line in map(json.loads, (await as_ndjson(database_url)).splitlines()):
        if line["kind"] == "seal":
            assert line["last_position"] == position
        position = line.get("position", position)


async def test_one_event_is_its_stream_and_those_of_its_reservations(connection: Connection, database_url: str) -> None:
    box_office = await sealed_history(connection, seed=3)
    told = await (await connection.execute(ROWS)).fetchall()
    for event_id in box_office.events:
        exported = await as_ndjson(database_url, event_id)
        assert [(row.position, str(row.stream_id), row.topic) for row in exported_rows(exported)] == [
            (position, stream, topic) for position, stream, topic, of_event in told if of_event == str(event_id)
        ]


async def test_the_seals_of_one_event_prove_its_domain_events_without_the_others(
    connection: Connection, database_url: str
) -> None:
    box_office = await sealed_history(connection, seed=4)
    keys = {key["kid"]: key for key in await seal_keys.published(connection)}
    unsealed = (await seals.after(connection, 0, 1_000))[-1].last_position + 1
    for event_id in box_office.events:
        exported = await as_ndjson(database_url, event_id)
        rows = exported_rows(exported)
        covered: set[int] = set()
        for line in of_kind(exported, "seal"):
            first, last = line["first_position"], line["last_position"]
            shown = {row.position - first: leaf_hash(row) for row in rows if first <= row.position <= last}
            missing = (bytes.fromhex(text) for text in line["missing"])
            root = root_with_proof(last - first + 1, shown, missing)
            assert next(missing, None) is None
            assert root.hex() == seals.check(line["jws"], keys).root_sha256
            assert shown, "seals that cover none of it are left out"
            covered |= {first + place for place in shown}
        assert {row.position for row in rows if row.position < unsealed} == covered


async def test_nothing_that_is_recorded_meanwhile_is_in_it(connection: Connection, database_url: str) -> None:
    box_office = await sealed_history(connection, seed=5)
    before = await reading.head(connection)
    file = io.BytesIO()

    async def record_more() -> None:
        async with await connect(database_url, role=WORKER_ROLE) as other:
            await append(other, box_office.commands(3))
            await seals.seal_next(other)

    class Meanwhile(Ndjson):
        """Before it writes anything, something else is recorded and sealed."""

        def write(self, records: Any, lines: bytes) -> None:
            with ThreadPoolExecutor() as others:
                others.submit(asyncio.run, record_more()).result()
            super().write(records, lines)

    await export(database_url, None, Meanwhile(file))
    assert len(exported_rows(file.getvalue())) == before
    assert of_kind(file.getvalue(), "seal")[-1]["last_position"] < before < await reading.head(connection)


async def test_parquet_has_the_same_rows_and_no_proof(connection: Connection, database_url: str) -> None:
    await sealed_history(connection, seed=6)
    file = io.BytesIO(await as_parquet(database_url))
    table = pq.read_table(file)
    stored = await reading.rows_after(connection, 0, 10_000)
    columns = ("position", "command_position", "stream", "version", "type", "state")
    assert [tuple(row[name] for name in columns) for row in table.to_pylist()] == [
        (row.position, row.command_position, str(row.stream_id), row.version, row.topic, row.state.decode())
        for row in stored
    ]
    metadata = pq.read_metadata(file).metadata
    assert json.loads(metadata[b"tixxety.export"])["head"] == len(stored)
    assert all("seal" not in name for name in (*table.column_names, *map(bytes.decode, metadata)))


async def test_parquet_has_columns_for_what_a_state_says(connection: Connection, database_url: str) -> None:
    box_office = await sealed_history(connection, seed=7)
    for row in pq.read_table(io.BytesIO(await as_parquet(database_url, box_office.events[0]))).to_pylist():
        state = json.loads(row["state"])
        assert row["recorded_at"] == datetime.fromisoformat(state["timestamp"])
        assert row["event_id"] == str(box_office.events[0])
        own_id = None if row["stream"] == row["event_id"] else row["stream"]
        assert row["reservation_id"] == state.get("reservation_id", own_id)
        assert row["actor_id"] == (None if state["actor_id"] == "system" else state["actor_id"])
        assert row["request_id"] == state["request_id"]


async def test_cloud_events_are_the_domain_events_alone(connection: Connection, database_url: str) -> None:
    await sealed_history(connection, seed=8)
    sent = [json.loads(line) for line in (await as_cloud_events(database_url)).splitlines()]
    assert [int(one["id"]) for one in sent] == [row.position for row in await reading.rows_after(connection, 0, 10_000)]


async def test_an_empty_history_is_a_whole_export(database_url: str) -> None:
    exported = await as_ndjson(database_url)
    assert [json.loads(line)["kind"] for line in exported.splitlines()] == ["export", "key", "end"]
    assert pq.read_table(io.BytesIO(await as_parquet(database_url))).num_rows == 0


async def test_an_event_that_is_none_is_said_so_before_anything_is_written(
    connection: Connection, database_url: str
) -> None:
    box_office = await sealed_history(connection, seed=9, commands=30)
    reservation_id, _ = box_office.reservations[0]
    for unknown in (uuid4(), reservation_id):
        with pytest.raises(EventUnknown, match=str(unknown)):
            await as_ndjson(database_url, unknown)


@pytest.mark.parametrize("state", [b"", b"{", b'{"a":\n1}', b' {"a":1}', b'{"a":1} {"b":2}'])
async def test_what_is_no_domain_event_is_named_and_not_exported(
    connection: Connection, database_url: str, server_url: str, state: bytes
) -> None:
    await sealed_history(connection, seed=10, commands=10)
    async with await connect(database_url) as superuser:
        await superuser.execute("RESET ROLE")
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(DAMAGE, {"state": state})
    with pytest.raises(Unexportable, match="position 5 is no domain event"):
        await as_ndjson(database_url)


async def test_memory_does_not_grow_with_the_history(connection: Connection, database_url: str) -> None:
    class Nowhere(io.BytesIO):
        """Forgets what it is given."""

        def write(self, _given: Any) -> int:
            return 0

    peaks = []
    for first, last in ((1, 10_000), (10_001, 30_000)):
        await connection.execute(MANY, {"first": first, "last": last})
        await seals.seal_next(connection)
        tracemalloc.start()
        end = await export(database_url, None, Ndjson(Nowhere()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (end.domain_events, end.seals) == (last, len(peaks))
    assert peaks[1] < 1.2 * peaks[0] < 30_000_000
