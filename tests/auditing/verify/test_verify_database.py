"""Verification of a database: untouched it is well, and whatever is made of its history is held against it."""

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

import pytest

from auditing.findings import Finding, Report, Rule
from auditing.verify.database import verify_database
from auditing.verify.database.one_moment import ACROSS_STREAMS, BY_POSITION, BY_STREAM_ALONE
from auditing.verify.database.verify_database import verify
from auditing.verify.errors import NoSuchSeal, TableAltered
from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.seals import seal_keys, seals
from eventstore.seals.seals import sign
from eventstore.writing.group_commit import GroupCommit
from projections import checkpoint
from projections.projector.projector import Projector
from projections.tables.all_tables import TABLES
from tests import box_office
from tests.auditing.broken_histories import numbered
from tests.campaigns.sealed_histories import SealedHistory, make_history
from tests.campaigns.tampering import superuser
from tests.conftest import fresh_database
from tests.domain.builders import CONCERT, created
from tests.domain.purchase import ANNS, BOBS
from tests.projections.histories import BoxOffice, append
from tests.projections.waiting import running, until_folded

MOVE_A_SNAPSHOT_TO_A_RESERVATION = """
UPDATE snapshots SET originator_version = 1, originator_id = (
    SELECT originator_id FROM stored_events WHERE topic = 'ReservationPlaced' ORDER BY 1 LIMIT 1)
WHERE originator_id = (SELECT originator_id FROM snapshots ORDER BY 1 LIMIT 1)
"""

SEED = 51
EDIT = """
UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'), '-', '+'), 'UTF8')
WHERE notification_id = %(p)s
"""
SOME_TYPE = "(SELECT max(ticket_type_id::text)::uuid FROM ticket_types WHERE capacity > reserved + paid)"


@pytest.fixture(scope="module")
def filled(server_url: str, template: str) -> Iterator[tuple[str, SealedHistory]]:
    """The name of a database with a random history, its seals, snapshots and tables; nobody is connected to it."""
    with fresh_database(server_url, template) as url:

        async def fill() -> SealedHistory:
            async with await connect(url, role=WORKER_ROLE) as connection:
                return await make_history(connection, SEED)

        yield urlsplit(url).path[1:], asyncio.run(fill())


@pytest.fixture
def history(filled: tuple[str, SealedHistory]) -> SealedHistory:
    """What there is in the database of `sealed_url`."""
    return filled[1]


@pytest.fixture
def sealed_url(server_url: str, filled: tuple[str, SealedHistory]) -> Iterator[str]:
    """A copy of it, for one test."""
    with fresh_database(server_url, filled[0]) as url:
        yield url


async def alter(database_url: str, statement: str, **values: object) -> None:
    """Change something that nobody may change."""
    async with superuser(database_url) as connection:
        await connection.execute(statement.encode(), values)


def only(report: Report) -> Finding:
    """The one finding that there is."""
    (finding,) = report.findings
    assert (report.ok, report.findings_count) == (False, 1)
    return finding


async def test_an_empty_box_office_is_well(database_url: str) -> None:
    report = await verify(database_url)
    assert (report.ok, report.head, report.domain_events, report.newest_seal) == (True, 0, 0, None)


async def test_the_report_says_what_was_read(sealed_url: str, history: SealedHistory) -> None:
    report = await verify(sealed_url, kept=history.kept)
    assert report.ok
    assert report.findings == []
    assert (report.head, report.domain_events) == (history.head, history.head)
    assert (report.newest_seal, report.sealed_through) == (history.seals, history.sealed_through)
    assert report.unsealed == history.head - history.sealed_through
    assert report.append_only == "privileges and triggers"


async def test_two_processes_find_what_one_finds(
    sealed_url: str, history: SealedHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alter(sealed_url, "UPDATE reservations SET quantity = quantity + 1")
    alone = await verify(sealed_url)
    monkeypatch.setattr(verify_database, "APART_FROM_POSITIONS", 1)
    told: list[tuple[int, int]] = []
    together = await verify(sealed_url, on_progress=lambda done, total: told.append((done, total)))
    assert (together.findings, together.findings_count) == (alone.findings, alone.findings_count)
    assert alone.findings_count > 1
    assert told[-1] == (history.head, history.head)


async def test_a_row_changed_by_hand_is_named_with_its_column(sealed_url: str, history: SealedHistory) -> None:
    one_with_tickets_left = "SELECT max(ticket_type_id::text)::uuid FROM ticket_types WHERE available > 0"
    await alter(sealed_url, f"UPDATE ticket_types SET paid = paid + 1 WHERE ticket_type_id = ({one_with_tickets_left})")
    finding = only(await verify(sealed_url))
    assert finding.rule is Rule.PROJECTION_DIFFERS
    assert finding.place.startswith("table ticket_types, ticket_type_id ")
    assert "paid is" in finding.sentence


async def test_tables_that_lag_behind_are_held_against_their_own_moment(
    sealed_url: str, history: SealedHistory
) -> None:
    async with await connect(sealed_url) as connection:
        folded = (await checkpoint.read(connection)).position
    report = await verify(sealed_url)
    assert (report.ok, report.projections_position) == (True, folded)
    assert folded < history.head


async def test_tables_of_another_version_are_not_compared(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "UPDATE checkpoint SET definitions_version = definitions_version + 1")
    await alter(sealed_url, "UPDATE reservations SET quantity = quantity + 1")
    report = await verify(sealed_url)
    assert (report.ok, report.projections_position) == (True, None)


async def test_snapshots_may_be_deleted_at_any_time(sealed_url: str, history: SealedHistory) -> None:
    assert history.snapshot_streams
    await alter(sealed_url, "DELETE FROM snapshots")
    assert (await verify(sealed_url)).ok


async def test_a_snapshot_of_what_needs_none_is_named(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, MOVE_A_SNAPSHOT_TO_A_RESERVATION)
    finding = only(await verify(sealed_url))
    assert (finding.rule, finding.sentence) == (Rule.SNAPSHOT_DIFFERS, "A snapshot is kept of what needs none.")


async def test_the_newest_seals_can_only_be_missed_by_who_has_kept_one(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "DELETE FROM seals WHERE number = %(n)s", n=history.seals)
    assert (await verify(sealed_url)).ok
    finding = only(await verify(sealed_url, kept=history.kept))
    assert (finding.rule, finding.place) == (Rule.SEAL_MISSING, f"seal {history.seals}")


async def test_a_chain_made_again_is_not_the_one_that_was_kept(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "TRUNCATE seals")
    async with await connect(sealed_url, role=WORKER_ROLE) as connection:
        while await seals.seal_next(connection):
            pass
    assert (await verify(sealed_url)).ok
    assert only(await verify(sealed_url, kept=history.kept)).rule is Rule.SEAL_MISSING


async def test_a_seal_by_a_key_that_is_not_published_is_named(sealed_url: str, history: SealedHistory) -> None:
    key = seal_keys._made()
    async with superuser(sealed_url) as connection:
        await connection.execute("UPDATE seal_keys SET private_key = %(p)s", {"p": key["private_key"]})
        forged = sign(await seal_keys.in_use(connection), history.kept.claims)
        await connection.execute(
            "UPDATE seals SET jws = %(jws)s WHERE number = %(n)s", {"jws": forged, "n": history.seals}
        )
    assert only(await verify(sealed_url)).rule is Rule.SEAL_INVALID


async def test_a_quick_check_looks_at_the_seal_and_what_came_after(sealed_url: str, history: SealedHistory) -> None:
    report = await verify(sealed_url, since_seal=history.seals)
    assert (report.ok, report.since_seal, report.newest_seal) == (True, history.seals, history.seals)
    assert 0 < report.domain_events < history.head
    await alter(sealed_url, EDIT, p=history.sealed_through)
    report = await verify(sealed_url, since_seal=history.seals)
    assert report.findings[0].position == history.sealed_through


async def test_a_quick_check_trusts_what_came_before(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, EDIT, p=2)
    assert not (await verify(sealed_url)).ok
    report = await verify(sealed_url, since_seal=history.seals)
    assert [found for found in report.findings if found.rule is Rule.SEAL_BROKEN] == []


async def test_a_quick_check_verifies_grown_streams_with_their_rows(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "UPDATE reservations SET quantity = quantity + 1")
    quick, whole = await verify(sealed_url, since_seal=history.seals), await verify(sealed_url)
    assert {found.rule for found in quick.findings} == {Rule.PROJECTION_DIFFERS}
    assert 0 < quick.findings_count < whole.findings_count


async def test_a_seal_that_there_is_not_is_one_sentence(sealed_url: str, history: SealedHistory) -> None:
    with pytest.raises(NoSuchSeal, match=f"There is no seal 99: the newest is {history.seals}"):
        await verify(sealed_url, since_seal=99)


async def test_without_any_seal_there_is_none_to_start_from(database_url: str) -> None:
    with pytest.raises(NoSuchSeal, match="There is no seal 1: nothing is sealed yet"):
        await verify(database_url, since_seal=1)


async def test_what_no_longer_protects_the_history_is_said(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "ALTER TABLE seals DISABLE TRIGGER append_only")
    assert (await verify(sealed_url)).append_only == "privileges alone"
    await alter(sealed_url, "GRANT DELETE ON stored_events TO tixxety_app")
    assert (await verify(sealed_url)).append_only == "nothing"


def test_every_table_is_compared_by_a_column_that_it_has() -> None:
    assert {*BY_POSITION, *BY_STREAM_ALONE, *ACROSS_STREAMS} == set(TABLES)
    assert ACROSS_STREAMS == ()
    for table in TABLES:
        assert table in BY_POSITION or table.stream in table.row.__struct_fields__


def test_one_stream_alone_makes_each_row_of_our_tables() -> None:
    rows: dict[str, dict[Any, Any]] = {table.name: {} for table in TABLES}
    history = chain.from_iterable(BoxOffice(1).commands(1_000))
    for position, recorded in enumerate(history, 1):
        for table in TABLES:
            for key in table.changed_keys.get(type(recorded), lambda *_: ())(recorded, position):
                row = rows[table.name][key] = table.fold(rows[table.name].get(key), key, position, recorded)
                assert getattr(row, str(table.stream)) == recorded.originator_id
    assert all(rows.values())


async def test_verifying_in_the_middle_of_sales_finds_nothing(database_url: str) -> None:
    async with await connect(database_url) as connection:
        organiser, *buyers = await box_office.register(connection, 30)
    async with GroupCommit(database_url) as commands, running(Projector(database_url)):
        opened = box_office.create(organiser, capacity=20)
        await commands.submit(opened)

        async def sell() -> None:
            for buyer in buyers:
                await box_office.submit_all(commands, [box_office.reserve(opened.event_id, buyer)])

        selling = asyncio.create_task(sell())
        reports = [await verify(database_url)]
        while not selling.done():
            reports.append(await verify(database_url))
            await asyncio.sleep(0)
        await selling
        async with await connect(database_url) as connection:
            await until_folded(connection)
        reports.append(await verify(database_url))
    assert [report.findings for report in reports if not report.ok] == []
    assert reports[-1].head == reports[-1].projections_position


@pytest.mark.parametrize(
    ("table", "place", "rule"),
    [("stored_events", "notification_id = 1", Rule.UNREADABLE), ("snapshots", "true", Rule.SNAPSHOT_DIFFERS)],
)
async def test_text_that_is_no_utf_8_is_named(
    sealed_url: str, history: SealedHistory, table: str, place: str, rule: Rule
) -> None:
    text = "position('EUR'::bytea IN state)"
    damaged = f"overlay(state PLACING '\\xe5'::bytea FROM {text})"
    await alter(sealed_url, f"UPDATE {table} SET state = {damaged} WHERE {text} > 0 AND {place}")
    assert rule in {finding.rule for finding in (await verify(sealed_url)).findings}


async def test_a_table_that_was_altered_is_one_sentence(sealed_url: str, history: SealedHistory) -> None:
    await alter(sealed_url, "ALTER TABLE seals ALTER COLUMN jws DROP NOT NULL")
    with pytest.raises(TableAltered, match="The column jws of the table seals may be empty"):
        await verify(sealed_url)


async def test_a_rule_broken_by_the_code_itself_is_named(database_url: str) -> None:
    """What the projections' own constraints would refuse to fold, the history still shows."""
    commands = numbered([created(capacity=1)], ANNS.reserved(), BOBS.reserved())
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, commands)
        assert await seals.seal_next(connection)
    finding = only(await verify(database_url))
    assert (finding.position, finding.rule, finding.place) == (4, Rule.OVERSOLD, f"stream {CONCERT}, version 3")
