"""What the page for operators gives to be asked at three in the morning finds what it says."""

import asyncio
import re

from eventstore.postgres.connections import Connection, connect
from eventstore.seals import seals
from projections.queries import consumers_queries
from tests import box_office
from tests.projections.histories import BoxOffice, append
from tests.projections.rebuilding.watched_rebuild import fold_all, owner
from tests.running import ROOT

PAGE = (ROOT / "docs/operating.md").read_text()
WAITING = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def query_about(words: str) -> str:
    """The page's query below the comment with these words."""
    (query,) = re.findall(rf"^-- [^\n]*{words}[^\n]*\n(.*?;)$", PAGE, re.MULTILINE | re.DOTALL)
    return str(query)


async def ask(connection: Connection, words: str) -> list[tuple[object, ...]]:
    await connection.execute("SET search_path = tixxety, projections")
    return await (await connection.execute(query_about(words).encode())).fetchall()


async def test_who_holds_which_events_lock_and_who_waits_for_it_is_shown(database_url: str) -> None:
    office = BoxOffice(1)
    async with (
        await connect(database_url, idle_in_transaction_session_timeout="0") as holder,
        await connect(database_url, lock_timeout="0") as waiter,
        owner(database_url) as watcher,
    ):
        await append(holder, office.commands(60))
        await fold_all(database_url)
        for event_id in office.events:
            await holder.execute("BEGIN")
            await box_office.lock_event(holder, event_id)
            waiting = asyncio.create_task(box_office.lock_event(waiter, event_id))

            async def waits() -> bool:
                return bool(await box_office.only(watcher, WAITING))

            await box_office.until(waits)
            shown = await ask(watcher, "who holds which event's lock")
            pids = holder.info.backend_pid, waiter.info.backend_pid
            assert [row[:4] for row in shown] == [(event_id, pids[0], True, []), (event_id, pids[1], False, [pids[0]])]
            assert [row[0] for row in await ask(watcher, "which sessions are in a transaction")] == [pids[0]]
            await box_office.unlock(holder)
            await holder.execute("COMMIT")
            await waiting
            await box_office.unlock(waiter)


async def test_how_far_each_consumer_is_behind_is_shown(database_url: str) -> None:
    """And who stands still."""
    async with owner(database_url) as connection:
        head = await append(connection, BoxOffice(1).commands(30))
        await seals.seal_next(connection)
        await connection.execute("INSERT INTO consumers (name, position) VALUES ('mail', 3)")
        shown = await ask(connection, "how far is each consumer")
        assert [row[:3] for row in shown] == [("mail", 3, head - 3), ("projector", 0, head), ("sealing", head, 0)]
        assert [tuple(row[:3]) for row in shown] == await consumers_queries.lags(connection)
        assert await ask(connection, "which of them stands still") == []
        await connection.execute("SET application_name = 'tixxety mail: stopped before 4'")
        (stopped,) = await ask(connection, "which of them stands still")
        assert stopped == (connection.info.backend_pid, "tixxety mail: stopped before 4")


async def test_events_ahead_of_the_clock_are_shown(database_url: str) -> None:
    async with await connect(database_url) as connection:
        await append(connection, BoxOffice(1).commands(3))
        assert len(await ask(connection, "which events are ahead of the clock")) > 0
