"""The audit trail's filters: what a brute force selects, found by an index, and never by looking through the table."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import chain
from random import Random
from typing import Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

import pytest

from auditing.verify.rules.cross_stream_rules import PARTNERS
from domain.commands import CancelEvent, WithdrawReservation
from domain.event_facts import TicketsReleased
from eventstore import reading
from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from projections.queries import audit_trail_queries
from projections.queries.audit_trail_queries import FREQUENT_TYPES, REASONS, Filters, Found, Span
from projections.tables.audit_trail import EVENT_SIDE_TOPICS, EVENT_SIDES, TABLE
from tests.projections.histories import NOON, BoxOffice, Command, append
from tests.projections.queries.test_query_plans import named, nodes, plan_of

# Two positions a step. Events one after the other, the last one with a third of all; nothing of the system or of one
# account but at its end, and no expiry; an event that is changed and cancelled every 1,000 positions.
MANY = """
WITH steps AS (
    SELECT step, lpad(to_hex(least(step / 1000, 40)), 32, 'e')::uuid AS event_id,
           lpad(to_hex(step), 32, 'd')::uuid AS reservation_id, step %% 500 = 0 AS is_of_organiser,
           CASE WHEN step < %(count)s / 2 - 5000 THEN lpad(to_hex(step %% 3000), 32, 'a')::uuid
                WHEN step %% 2 = 0 THEN lpad('b', 32, 'a')::uuid END AS actor_id,
           timestamptz '2030-01-01Z' + step * interval '2 seconds' - step %% 7 * interval '1 second' AS recorded_at,
           CASE WHEN step > %(count)s / 2 - 500 THEN 'ReservationExpired' ELSE 'ReservationPlaced' END AS type
    FROM generate_series(1, %(count)s / 2) AS step
), told AS (
    SELECT *, 2 * step - 1 AS position, CASE WHEN is_of_organiser THEN 'EventDetailsChanged'
                WHEN type = 'ReservationPlaced' THEN 'TicketsHeld' ELSE 'TicketsReleased' END AS topic FROM steps
    UNION ALL
    SELECT *, 2 * step, CASE WHEN is_of_organiser THEN 'EventCancelled' ELSE type END FROM steps
), stored AS (
    INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id, command_position)
    SELECT stream, row_number() OVER (PARTITION BY stream ORDER BY position), topic, '{}', position, 2 * step
    FROM (SELECT *, CASE WHEN topic LIKE 'R%%' THEN reservation_id ELSE event_id END AS stream FROM told) AS told
    ORDER BY position
)
INSERT INTO audit_trail (position, version, type, event_id, reservation_id, actor_id, request_id, recorded_at)
SELECT position, 1, topic, event_id, CASE WHEN topic LIKE 'R%%' THEN reservation_id END, actor_id, gen_random_uuid(),
       recorded_at
FROM told WHERE topic NOT LIKE 'T%%' ORDER BY position
"""
COUNT = 120_000
LATE_EVENT, LATE_ACCOUNT = UUID("28".rjust(32, "e")), UUID("b".rjust(32, "a"))
START = datetime(2030, 1, 1, tzinfo=UTC)
FEWER = 20_000


class Said(NamedTuple):
    """What a domain event says of itself, read without a table."""

    position: int
    stream: UUID
    type: str
    event_id: UUID
    reservation_id: UUID | None
    actor_id: str | None
    request_id: UUID
    recorded_at: datetime


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    async with await connect(database_url, None, role=WORKER_ROLE) as connection:
        yield connection


def said_by(commands: list[Command]) -> list[Said]:
    """All domain events of a history in order."""
    said = []
    for position, it in enumerate((it for command in commands for it in command), start=1):
        facts, stream = it._as_dict(), it.originator_id
        is_of_reservation = "event_id" in facts
        about = (facts["event_id"], stream) if is_of_reservation else (stream, facts.get("reservation_id"))
        actor_id = None if it.actor_id == "system" else it.actor_id
        said.append(Said(position, stream, it.TOPIC, *about, actor_id, it.request_id, it.timestamp))
    return said


def told(found: Found) -> Said:
    """The same of what was found."""
    row = found.row
    about = (row.event_id, row.reservation_id, row.actor_id, row.request_id, row.recorded_at)
    return Said(found.position, found.stream, found.type, *about)


async def all_selected(connection: Connection, filters: Filters, limit: int) -> list[Said]:
    """Page after page to the end."""
    within = await audit_trail_queries.span(connection, filters, (await checkpoint.read(connection)).position)
    found: list[Found] = []
    while True:
        selected = await audit_trail_queries.selected(connection, filters, within, limit)
        assert len(selected.found) <= limit
        found += selected.found
        if selected.after is None:
            return list(map(told, found))
        assert selected.after > within.after
        within = within._replace(after=selected.after)


def matches(it: Said, filters: Filters) -> bool:
    """Whether it is meant, said in another way than SQL does."""
    wanted = {
        "event_id": filters.event_id,
        "reservation_id": filters.reservation_id,
        "actor_id": str(filters.account_id) if filters.account_id else None,
    }
    if filters.types and it.type not in filters.types:
        return False
    if any(value is not None and getattr(it, name) != value for name, value in wanted.items()):
        return False
    if filters.by_system and it.actor_id is not None:
        return False
    in_time = (filters.since or NOON.min.replace(tzinfo=UTC)) <= it.recorded_at
    return in_time and (filters.until is None or it.recorded_at < filters.until) and it.position > filters.after


def some_filters(random: Random, said: list[Said]) -> Filters:
    """Any of the filters, mostly with values that occur."""
    it, other = random.choice(said), random.choice(said)
    chances: dict[str, Any] = {
        "event_id": it.event_id,
        "reservation_id": it.reservation_id,
        "account_id": UUID(it.actor_id) if it.actor_id else UUID(int=5),
        "types": random.choice(
            ((it.type,), (other.type,), (it.type, other.type), ("EventCancelled", "CapacityChanged"))
        ),
        "since": it.recorded_at,
        "until": random.choice((it, other)).recorded_at,
        "after": random.randrange(len(said)),
    }
    chosen = {name: value for name, value in chances.items() if random.random() < 0.25}
    return Filters(**chosen, by_system="account_id" not in chosen and random.random() < 0.2)


def to_the_end(seed: int) -> list[Command]:
    """Commands of any kind, and then the end of all events and of all that is reserved there."""
    office = BoxOffice(seed)
    commands = office.commands(150)
    for event_id in office.events:
        organiser_id = office.aggregates[event_id].created.organiser_id
        commands.append(office.submit(CancelEvent(**office.asked_by(organiser_id, event_id))))
    for reservation_id, event_id in office.reservations:
        request_id = office.new_id()
        withdraw = WithdrawReservation(event_id=event_id, request_id=request_id, reservation_id=reservation_id)
        commands.append(office.submit(withdraw))
    return [command for command in commands if command]


async def recorded_and_folded(connection: Connection, commands: list[Command]) -> list[Said]:
    """Store and fold the commands; what all of their domain events say."""
    await append(connection, commands)
    await Batches(connection, await checkpoint.read(connection)).fold_next(100_000)
    return said_by(commands)


@pytest.mark.parametrize("walked", [10, 100_000])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_filters_select_what_a_brute_force_selects(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, walked: int, seed: int
) -> None:
    monkeypatch.setattr(audit_trail_queries, "WALKED_POSITIONS", walked)
    monkeypatch.setattr(audit_trail_queries, "WALKED_PLACES", walked)
    said = await recorded_and_folded(connection, to_the_end(seed))
    assert {it.type for it in said} >= {*EVENT_SIDE_TOPICS, *EVENT_SIDE_TOPICS.values(), "EventCancelled"}
    assert any(it.type == "ReservationCancelled" and it.actor_id is None for it in said)
    assert await all_selected(connection, Filters(), 100) == said
    random, found = Random(seed), 0
    for _ in range(60):
        filters = some_filters(random, said)
        selected = await all_selected(connection, filters, random.choice((1, 2, 7, 100)))
        assert selected == [it for it in said if matches(it, filters)], filters
        found += bool(selected)
    assert found > 30


async def test_an_answer_goes_on_behind_any_position_and_ends_at_any(connection: Connection) -> None:
    said = await recorded_and_folded(connection, BoxOffice(4).commands(25))
    busiest = max(said, key=lambda it: sum(it.event_id == other.event_id for other in said))
    placed = next(it for it in said if it.type == "ReservationPlaced")
    cases = [
        Filters(),
        Filters(event_id=busiest.event_id),
        Filters(event_id=busiest.event_id, types=("TicketsHeld",)),
        Filters(event_id=busiest.event_id, types=("ReservationPlaced",)),
        Filters(reservation_id=placed.reservation_id),
        Filters(account_id=UUID(placed.actor_id)),
        Filters(by_system=True),
        Filters(types=("TicketsReleased",)),
        Filters(types=("EventCreated", "EventDetailsChanged")),
        Filters(types=("EventCreated", "TicketsHeld")),
        Filters(event_id=busiest.event_id, types=("CapacityChanged", "ReservationPaid", "TicketsSold")),
    ]
    for filters in cases:
        meant = [it for it in said if matches(it, filters)]
        for after in range(len(said) + 1):
            for upto in (after + 1, after + 2, after + 5, len(said)):
                selected = await audit_trail_queries.selected(connection, filters, Span(after, upto), 100)
                assert selected.after is None or filters.walks
                assert list(map(told, selected.found)) == [it for it in meant if after < it.position <= upto], filters


async def test_an_id_of_the_other_kind_selects_nothing(connection: Connection) -> None:
    said = await recorded_and_folded(connection, BoxOffice(5).commands(40))
    placed = next(it for it in said if it.type == "ReservationPlaced")
    for filters in (Filters(event_id=placed.reservation_id), Filters(reservation_id=placed.event_id)):
        assert await all_selected(connection, filters, 2) == []


async def test_tables_of_the_version_before_answer_alike(connection: Connection) -> None:
    commands = BoxOffice(6).commands(80)
    said = await recorded_and_folded(connection, commands)
    for position, it in enumerate((it for command in commands for it in command), start=1):
        if type(it) in EVENT_SIDES.values():
            await connection.execute(
                """
                INSERT INTO audit_trail
                SELECT %(position)s, %(version)s, %(type)s, event_id, reservation_id, actor_id, request_id, recorded_at
                FROM audit_trail WHERE position = %(position)s + 1
                """,
                {"position": position, "version": it.originator_version, "type": it.TOPIC},
            )
    random = Random(6)
    for limit in (1, 2, 3, 100):
        assert await all_selected(connection, Filters(), limit) == said
    for _ in range(40):
        filters = some_filters(random, said)
        selected = await all_selected(connection, filters, random.choice((1, 2, 7, 100)))
        assert selected == [it for it in said if matches(it, filters)], filters


async def test_each_filter_finds_its_rows_by_an_index(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE audit_trail")
    an_account = UUID("7".rjust(32, "a"))
    cases = [
        (Filters(), "audit_trail_pkey"),
        (Filters(account_id=an_account), "audit_trail_of_actor"),
        (Filters(by_system=True), "audit_trail_pkey"),
        (Filters(account_id=LATE_ACCOUNT), "audit_trail_of_actor"),
        (Filters(event_id=LATE_EVENT, account_id=LATE_ACCOUNT), "audit_trail_of_actor"),
        (Filters(types=("EventCancelled",)), "audit_trail_of_rare_type"),
        (Filters(types=("CapacityChanged",)), "audit_trail_of_rare_type"),
        (Filters(types=("CapacityChanged", "EventCancelled")), "audit_trail_of_rare_type"),
        (Filters(account_id=LATE_ACCOUNT, types=("EventCancelled", "TicketsHeld")), "audit_trail_of_actor"),
        (Filters(types=("EventCancelled", "TicketsHeld")), "audit_trail_pkey"),
        (Filters(types=("TicketsHeld",)), "audit_trail_pkey"),
        (Filters(types=("TicketsReleased",)), "audit_trail_pkey"),
        (Filters(since=START + timedelta(seconds=100_000)), "audit_trail_pkey"),
        (Filters(since=START + timedelta(seconds=50_000), until=START + timedelta(seconds=50_060)), "audit_trail_pkey"),
    ]
    for filters, index in cases:
        within = await audit_trail_queries.span(connection, filters, COUNT)
        if filters.walks:
            within = within._replace(upto=within.after + 15_000)
        for values in filters.values():
            plan = await plan_of(connection, filters.query, values | within._asdict() | {"rows": 52})
            assert index in named(plan, "Index Name"), (filters, plan)
            assert "Seq Scan" not in named(plan, "Node Type")
            assert rows_read(plan) < 10_000, (filters, plan)


async def test_a_stream_finds_its_rows_by_the_keys_of_history_and_trail(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": COUNT})
    await connection.execute("ANALYZE audit_trail, stored_events")
    an_event, a_reservation = UUID("1e".rjust(32, "e")), UUID("9c41".rjust(32, "d"))
    cases = [
        (an_event, Filters(event_id=an_event)),
        (LATE_EVENT, Filters(event_id=LATE_EVENT)),
        (LATE_EVENT, Filters(event_id=LATE_EVENT, types=("ReservationPlaced",))),
        (LATE_EVENT, Filters(event_id=LATE_EVENT, types=("ReservationCancelled",))),
        (LATE_EVENT, Filters(event_id=LATE_EVENT, types=("CapacityChanged",))),
        (LATE_EVENT, Filters(event_id=LATE_EVENT, types=("CapacityChanged", "EventCancelled"))),
        (LATE_EVENT, Filters(event_id=LATE_EVENT, by_system=True)),
        (a_reservation, Filters(reservation_id=a_reservation)),
    ]
    for stream_id, filters in cases:
        values = {"stream_id": stream_id, "version": 0, "topics": filters.event_side_topics, "any_of": filters.said}
        plan = await plan_of(connection, reading.PLACES_AFTER, values | {"limit": 51})
        assert named(plan, "Index Name") == ["stored_events_pkey"], plan
        assert "Seq Scan" not in named(plan, "Node Type"), plan
        assert filters.types or filters.by_system or rows_read(plan) <= 51, plan
        plan = await plan_of(connection, reading.VERSION_BEFORE, {"stream_id": stream_id, "position": COUNT - 7})
        assert {*named(plan, "Index Name")} == {"stored_events_pkey"}, plan
        assert "Seq Scan" not in named(plan, "Node Type"), plan
    positions = {"positions": list(range(COUNT - 400, COUNT, 4)), "after": 0, "upto": COUNT}
    (values,) = Filters(LATE_EVENT).values()
    plan = await plan_of(connection, audit_trail_queries.SELECTED_AT, values | positions)
    assert named(plan, "Index Name") == ["audit_trail_pkey"], plan
    assert rows_read(plan) <= 200, plan
    within = Span(COUNT - 9_001, COUNT)
    selected = await audit_trail_queries.selected(connection, Filters(LATE_EVENT), within, 5)
    assert [found.position for found in selected.found] == list(range(COUNT - 9_000, COUNT - 8_995))


def rows_read(plan: dict[str, Any]) -> int:
    """Of tables and indexes."""
    return sum(
        node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes(plan) if "Relation Name" in node
    )


def time_of(position: int) -> datetime:
    step = (position + 1) // 2
    return START + timedelta(seconds=2 * step - step % 7)


async def test_a_time_is_found_in_a_few_steps_and_nothing_near_it_is_missed(connection: Connection) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": FEWER})
    plan = await plan_of(
        connection, audit_trail_queries.BEFORE, {"upto": FEWER, "instant": START + timedelta(seconds=17_777)}
    )
    assert "Seq Scan" not in named(plan, "Node Type")
    assert rows_read(plan) < 40
    for second in (-1_000, 0, 61, 500, 17_777, FEWER - 61, FEWER + 1_000):
        filters = Filters(since=START + timedelta(seconds=second), until=START + timedelta(seconds=second + 30))
        within = await audit_trail_queries.span(connection, filters, FEWER)
        assert within.upto - within.after <= 200 or within.upto <= 200
        assert filters.since is not None
        assert filters.until is not None
        meant = {n for n in range(1, FEWER + 1) if filters.since <= time_of(n) < filters.until}
        selected = await audit_trail_queries.selected(connection, filters, within, 100)
        assert {found.position for found in selected.found} == meant
    # What is folded meanwhile is not looked at.
    for upto in (FEWER - 100, FEWER - 101):
        within = await audit_trail_queries.span(connection, Filters(until=time_of(10 * FEWER)), upto)
        assert upto - 1 <= within.upto <= upto


async def test_a_frequent_type_that_does_not_come_is_answered_in_bounded_parts(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("RESET ROLE")
    await connection.execute(MANY, {"count": FEWER})
    monkeypatch.setattr(audit_trail_queries, "WALKED_POSITIONS", 12_000)
    for type_, first in (("ReservationExpired", 19_002), ("TicketsReleased", 19_001)):
        expired = Filters(types=(type_,))
        assert await audit_trail_queries.selected(connection, expired, Span(0, FEWER), 50) == ([], 12_000)
        then = await audit_trail_queries.selected(connection, expired, Span(12_000, FEWER), 50)
        assert [found.position for found in then.found] == list(range(first, first + 100, 2))
        assert then.after == first + 98


async def test_what_is_rare_in_an_event_is_answered_in_bounded_parts(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = await recorded_and_folded(connection, to_the_end(7))
    monkeypatch.setattr(audit_trail_queries, "WALKED_PLACES", 1)
    parts = 0
    for event_id in {it.event_id for it in said}:
        filters = Filters(event_id=event_id, types=("ReservationCancelled",), by_system=True)
        meant = [it for it in said if matches(it, filters)]
        for limit in (1, 2, 3):
            assert await all_selected(connection, filters, limit) == meant
            first, after = await audit_trail_queries.selected(connection, filters, Span(0, len(said)), limit)
            parts += len(first) < limit and after is not None
    assert parts > 0


def test_the_types_without_an_index_are_those_of_the_table() -> None:
    statements = (resources.files("projections.tables") / "audit_trail.sql").read_text()
    left_out = statements.partition("WHERE type NOT IN (")[2].partition(")")[0]
    in_table = FREQUENT_TYPES & {kind.TOPIC for kind in TABLE.changed_keys}
    assert {name.strip(" '") for name in left_out.split(",")} == in_table
    assert {EVENT_SIDE_TOPICS[name] for name in in_table} == FREQUENT_TYPES - in_table


def test_a_state_says_by_which_type_of_row_an_event_side_is_found() -> None:
    every_reason = get_args(get_type_hints(TicketsReleased)["reason"])
    assert sorted(chain.from_iterable(REASONS.values())) == sorted(every_reason)
    assert REASONS.keys() == {name for name, side in EVENT_SIDE_TOPICS.items() if side == "TicketsReleased"}


def test_what_has_no_row_is_what_verification_demands_before_one_that_has() -> None:
    assert {(ours, theirs) for theirs, ours in EVENT_SIDES.items()} == PARTNERS.keys()
    assert not EVENT_SIDES.values() & TABLE.changed_keys.keys()
