"""Rebuilt tables are the live ones row by row, whatever stops the rebuild on its way, and whatever differs is told."""

from collections.abc import Callable
from random import Random

import psycopg
import pytest

from eventstore.box_office import REBUILD_KEY
from eventstore.errors import SchemaOutdated
from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.reading import head
from projections import checkpoint
from projections.errors import FoldFailed, HistoryCutShort, OldTablesHeld, OldTablesInUse, RebuildUnderWay
from projections.projector.projector import Projector
from projections.rebuilding.differences import ROWS_SHOWN_MAX, Difference
from projections.rebuilding.rebuild import Progress
from projections.rebuilding.swap import drop_old
from tests.projections.histories import BoxOffice, append
from tests.projections.independent_fold import expected_of, shown_by
from tests.projections.rebuilding.watched_rebuild import Stopped, Watched, fold_all, owner, stopped_before
from tests.projections.waiting import running, until_folded

END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
"""
SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'projections%' ORDER BY 1"
INDEXES = """
SELECT indexname, replace(indexdef, %(schema)s || '.', '') FROM pg_indexes WHERE schemaname = %(schema)s ORDER BY 1
"""
RIGHTS = """
SELECT c.relname, c.relacl::text, n.nspacl::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'v') ORDER BY 1
"""


@pytest.mark.parametrize("seed", range(2))
async def test_rebuilt_equals_live_row_by_row(database_url: str, seed: int) -> None:
    commands = BoxOffice(seed).commands(300)
    async with owner(database_url) as connection:
        await append(connection, commands)
        await fold_all(database_url)
        before = await checkpoint.read(connection)
        rebuilt = await Watched().rebuild(database_url)
        assert (rebuilt.position, rebuilt.resumed_at) == (before.position, 0)
        assert rebuilt.differences.shown == []
        assert rebuilt.differences.rows.keys() == expected_of(commands).keys()
        assert (await checkpoint.read(connection)).generation != before.generation
        assert await shown_by(connection) == expected_of(commands)
        schemas = await (await connection.execute(SCHEMAS)).fetchall()
        assert schemas == [("projections",), ("projections_old",)]
        assert await drop_old(connection)
        assert not await drop_old(connection)


async def test_a_rebuild_that_is_stopped_anywhere_goes_on_where_it_was(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m tests.campaigns.rebuild` stops them again and again, while tickets are sold."""
    monkeypatch.setattr("projections.rebuilding.rebuild.BATCH_DOMAIN_EVENTS", 16)
    dice, commands = Random(0), BoxOffice(0).commands(240)
    resumed_at = []
    async with running(Projector(database_url)):
        for start in range(0, 240, 40):
            async with await connect(database_url, role=WORKER_ROLE) as connection:
                await append(connection, commands[start : start + 40])
                await until_folded(connection)
            watched = Watched(dice_stop(dice, database_url))
            try:
                resumed_at.append((await watched.rebuild(database_url)).resumed_at)
            except (Stopped, psycopg.Error):
                assert "swap" not in watched.steps
        async with await connect(database_url, role=WORKER_ROLE) as connection:
            await until_folded(connection)
            assert await shown_by(connection) == expected_of(commands)
            resumed_at.append((await Watched().rebuild(database_url)).resumed_at)
            assert await shown_by(connection) == expected_of(commands)
    assert any(resumed_at)


def dice_stop(dice: Random, database_url: str) -> Callable[[Progress], None]:
    """Ends the rebuild at one of its next steps, as an error or as a loss of all its sessions would."""
    left = dice.randint(1, 8)

    def at_each(progress: Progress) -> None:
        nonlocal left
        left -= 1
        if left == 0 and progress.step != "swap":
            if dice.random() < 0.5:
                raise Stopped
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(END_SESSIONS)

    return at_each


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE ticket_types SET name = 'Balcony' WHERE place = 1", {("ticket_types", "name")}),
        (
            "UPDATE events SET title = 'Ours', city = NULL WHERE city IS NOT NULL",
            {("events", "title"), ("events", "city")},
        ),
        ("DELETE FROM audit_trail WHERE type = 'ReservationPlaced'", {("audit_trail", None)}),
        ("UPDATE reservations SET reservation_id = gen_random_uuid()", {("reservations", None)}),
    ],
)
async def test_whatever_differs_is_told_before_the_swap(
    database_url: str, change: str, told: set[tuple[str, str | None]]
) -> None:
    commands = BoxOffice(1).commands(200)
    async with owner(database_url) as connection:
        await append(connection, commands)
        await fold_all(database_url)
        await connection.execute(change)  # type: ignore[call-overload]
        watched = Watched()
        rebuilt = await watched.rebuild(database_url)
        assert watched.steps[-3:] == ["compare", "differences", "swap"]
        found = rebuilt.differences
        assert {(one.table, one.column) for one in found.shown} == told
        (table,) = {table for table, _ in told}
        assert found.rows[table] >= len({str(one.key) for one in found.shown if one.table == table}) > 0
        assert await shown_by(connection) == expected_of(commands)


async def test_of_many_rows_that_differ_some_are_shown_and_all_are_counted(database_url: str) -> None:
    async with owner(database_url) as connection:
        commands = BoxOffice(1).commands(2 * ROWS_SHOWN_MAX)
        await append(connection, commands)
        await fold_all(database_url)
        await connection.execute("UPDATE audit_trail SET version = version + 1")
        found = (await Watched().rebuild(database_url)).differences
    assert found.rows["audit_trail"] == len(expected_of(commands)["audit_trail"]) > len(found.shown) == ROWS_SHOWN_MAX
    assert str(found.shown[0]) == str(Difference("audit_trail", {"position": 1}, "version", 2, 1))
    assert str(found.shown[0]) == "audit_trail 1: version is 2, and 1 by the history"


async def test_what_can_not_be_folded_stops_the_rebuild_and_changes_nothing(database_url: str) -> None:
    async with owner(database_url) as connection:
        last = await append(connection, BoxOffice(1).commands(20))
        await fold_all(database_url)
        before = await shown_by(connection)
        await connection.execute("ALTER TABLE stored_events DISABLE TRIGGER ALL")
        await connection.execute("UPDATE stored_events SET state = '{}' WHERE notification_id = %s", (last,))
        with pytest.raises(FoldFailed, match=f"before position {last}"):
            await Watched().rebuild(database_url)
        assert await shown_by(connection) == before


async def test_a_second_rebuild_at_the_same_time_is_refused(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.rebuilding.rebuild.LOCK_TRIES", 2)
    async with await connect(database_url, role=WORKER_ROLE) as other:
        await other.execute("SELECT pg_advisory_lock(%(lock_class)s, %(lock_key)s)", other.box_office.lock(REBUILD_KEY))
        with pytest.raises(RebuildUnderWay):
            await Watched().rebuild(database_url)


async def test_tables_of_a_newer_version_are_left_alone(database_url: str) -> None:
    async with owner(database_url) as connection:
        await connection.execute("UPDATE checkpoint SET definitions_version = definitions_version + 1")
        with pytest.raises(SchemaOutdated, match="were made by version"):
            await Watched().rebuild(database_url)


async def test_what_other_code_has_begun_is_begun_again(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = BoxOffice(3).commands(60)
    async with owner(database_url) as connection:
        await append(connection, commands)
        await fold_all(database_url)
        with monkeypatch.context() as patch:
            patch.setattr("projections.schema.make_schema.fingerprint", lambda: "another")
            await stopped_before("index", database_url)
        assert (await Watched().rebuild(database_url)).resumed_at == 0
        assert await shown_by(connection) == expected_of(commands)


async def test_indexes_and_everybodys_rights_are_as_they_were(database_url: str) -> None:
    async with owner(database_url) as connection:
        await connection.execute("GRANT SELECT ON events TO PUBLIC")
        await connection.execute("GRANT USAGE ON SCHEMA projections TO PUBLIC")
        before = [await (await connection.execute(q, {"schema": "projections"})).fetchall() for q in (INDEXES, RIGHTS)]
        await Watched().rebuild(database_url)
        after = [await (await connection.execute(q, {"schema": "projections"})).fetchall() for q in (INDEXES, RIGHTS)]
    assert after[0] == before[0]
    assert [sorted_rights(row) for row in after[1]] == [sorted_rights(row) for row in before[1]]


def sorted_rights(row: tuple[str, ...]) -> list[list[str]]:
    return [sorted(text.strip("{}").split(",")) for text in row]


async def test_tables_that_nobody_folds_are_folded_on_after_the_swap(database_url: str) -> None:
    commands = BoxOffice(5).commands(80)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, commands[:40])
        await fold_all(database_url)
        await append(connection, commands[40:])
        rebuilt = await Watched().rebuild(database_url)
        assert rebuilt.position < await head(connection) == (await checkpoint.read(connection)).position
        assert await shown_by(connection) == expected_of(commands)


async def test_a_view_of_somebody_else_on_the_tables_put_aside_is_named(database_url: str) -> None:
    async with owner(database_url) as connection:
        await connection.execute("CREATE VIEW public.mine AS SELECT title FROM events")
        assert (await Watched().rebuild(database_url)).stale_views == ["public.mine"]
        for drops in (drop_old(connection), Watched().rebuild(database_url)):
            with pytest.raises(OldTablesInUse, match=r"public\.mine"):
                await drops
        await connection.execute("CREATE OR REPLACE VIEW public.mine AS SELECT title FROM events")
        assert (await Watched().rebuild(database_url)).stale_views == ["public.mine"]


async def test_a_history_without_its_end_is_told_and_the_live_tables_stay(database_url: str) -> None:
    async with owner(database_url) as connection:
        last = await append(connection, BoxOffice(1).commands(40))
        await fold_all(database_url)
        before = await shown_by(connection)
        await connection.execute("ALTER TABLE stored_events DISABLE TRIGGER ALL")
        await connection.execute("DELETE FROM stored_events WHERE command_position > %s", (last - 10,))
        rest = await head(connection)
        with pytest.raises(HistoryCutShort, match=f"ends at position {rest}, .* folded up to {last}"):
            await Watched().rebuild(database_url)
        assert await shown_by(connection) == before


async def test_who_reads_the_tables_put_aside_is_named(database_url: str) -> None:
    async with owner(database_url) as connection:
        await append(connection, BoxOffice(1).commands(10))
        await fold_all(database_url)
        await Watched().rebuild(database_url)
        async with await connect(database_url, idle_in_transaction_session_timeout="0") as dump:
            await dump.execute("BEGIN")
            await dump.execute("SET LOCAL search_path = projections_old")
            await dump.execute("LOCK TABLE events IN ACCESS SHARE MODE")
            for held_up in (drop_old(connection, 0.1), Watched().rebuild(database_url, patience_seconds=0.1)):
                with pytest.raises(OldTablesHeld, match=f"while process {dump.info.backend_pid} "):
                    await held_up
            await dump.execute("COMMIT")
        assert await drop_old(connection)
