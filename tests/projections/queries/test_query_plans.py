"""At volume each query finds its rows by an index, whatever its filters."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from eventstore.postgres.connections import WORKER_ROLE, Connection, connect
from projections.projector.projector import FOLD_SETTINGS
from projections.queries import catalogue_queries, events_queries, reservations_queries, sales_queries
from projections.queries.reservations_queries import OfEvent
from projections.tables.all_tables import TABLES
from projections.text_keys import pieces
from tests.projections.histories import NOON

MANY_EVENTS = """
INSERT INTO events (event_id, organiser_id, title, city, state, country, city_key, state_key,
                    country_key, time_zone, starts_at, ends_at, max_per_buyer,
                    hold_seconds, hold_extension_seconds, status, created_at, changed_at, cancelled_at, edition,
                    position)
SELECT gen_random_uuid(), gen_random_uuid(), 'Event ' || n, 'City ' || n %% 900, 'State ' || n %% 500, 'C' || n %% 200,
       'city ' || n %% 900, 'state ' || n %% 500, 'c' || n %% 200,
       'UTC', start, start + interval '1 hour', 1, 120, 0,
       CASE WHEN n %% 1000 = 0 THEN 'cancelled' ELSE 'scheduled' END, '2030-01-01Z', '2030-01-01Z',
       CASE WHEN n %% 1000 = 0 THEN timestamptz '2030-01-01Z' END, 1, n
FROM generate_series(%(first)s::int, %(last)s::int) AS n,
     LATERAL (SELECT timestamptz '2035-06-01Z' + n * interval '1 minute') AS t (start)
"""
MANY_SEARCHED = """
INSERT INTO event_search (event_id, search_text, pieces, position)
SELECT event_id, 'event ' || position || CASE WHEN position %% 5000 = 0 THEN ' zebrafinch' ELSE '' END,
       CASE WHEN position %% 5000 = 0 THEN %(pieces)s::integer[] ELSE ARRAY[position %% 1000, position %% 77] END,
       position
FROM events WHERE position BETWEEN %(first)s AND %(last)s
"""
MANY_TICKET_TYPES = """
INSERT INTO ticket_types (ticket_type_id, event_id, place, name, amount_minor, currency, capacity, reserved, paid,
                          withheld, position)
SELECT gen_random_uuid(), event_id, 1, 'Standing', 0, 'XXX', 10, 0, 0, 0, position FROM events
WHERE position BETWEEN %(first)s AND %(last)s
"""
MANY_RESERVATIONS = """
INSERT INTO reservations (reservation_id, event_id, ticket_type_id, buyer_id, quantity, amount_minor, currency, status,
                          placed_at, hold_expires_at, paid_at, expired_at, refund_due_minor, position)
SELECT gen_random_uuid(), event_id, gen_random_uuid(), lpad(to_hex(n %% 200), 32, '0')::uuid, 1, 0, 'XXX', status,
       placed_at, placed_at + interval '2 minutes', CASE status WHEN 'paid' THEN placed_at END,
       CASE status WHEN 'expired' THEN placed_at + interval '2 minutes' END, 0, n
FROM (SELECT event_id, position AS n FROM events WHERE position BETWEEN %(first)s AND %(last)s) AS e,
     LATERAL (SELECT CASE WHEN n %% 100 = 0 THEN 'reserved' WHEN n %% 10 = 0 THEN 'paid' ELSE 'expired' END,
                     timestamptz '2020-01-01Z' + n * interval '1 minute') AS r (status, placed_at)
"""
# 4 more of each reservation, for ever the same buyers; the more rows, the less a plan without an index is chosen.
MORE_RESERVATIONS = """
INSERT INTO reservations (reservation_id, event_id, ticket_type_id, buyer_id, quantity, amount_minor, currency, status,
                          placed_at, hold_expires_at, paid_at, expired_at, refund_due_minor, position)
SELECT gen_random_uuid(), event_id, ticket_type_id, lpad(to_hex(position % 200), 32, '0')::uuid, 1, 0, 'XXX', status,
       placed_at, hold_expires_at, paid_at, expired_at, 0, position
FROM reservations, generate_series(1, 4)
"""
MANY_DOMAIN_EVENTS = """
INSERT INTO audit_trail (position, version, type, event_id, request_id, recorded_at)
SELECT position, 1, 'EventCreated', event_id, gen_random_uuid(), created_at FROM events
WHERE position BETWEEN %(first)s AND %(last)s
"""
MANY_CAPACITIES = """
INSERT INTO capacity_changes (ticket_type_id, position, event_id, changed_at, capacity, withheld)
SELECT ticket_type_id, position, event_id, '2030-01-01Z', 10, 0 FROM ticket_types
WHERE position BETWEEN %(first)s AND %(last)s
"""
MANY_SALES = """
INSERT INTO sales_by_minute (event_id, minute, ticket_type_id, placed, paid, expired, cancelled, returned,
                             tickets_placed, tickets_paid, tickets_expired, tickets_cancelled, tickets_returned,
                             revenue_minor, refunds_minor, position)
SELECT event_id, timestamptz '2020-01-01Z' + position * interval '1 minute', ticket_type_id, 1, 0, 0, 0, 0,
       1, 0, 0, 0, 0, 0, 0, position
FROM ticket_types WHERE position BETWEEN %(first)s AND %(last)s
"""
KEYS: dict[str | tuple[str, ...], list[Any]] = {
    "position": list(range(40)),
    ("ticket_type_id", "position"): [(UUID(int=n), n) for n in range(40)],
    ("event_id", "minute", "ticket_type_id"): [(UUID(int=n), NOON, UUID(int=n)) for n in range(40)],
}
IDS = [UUID(int=n) for n in range(40)]
LISTED: dict[str, Any] = {
    "with_description": False,
    "ends_after": None,
    "is_upcoming": True,
    "status": "scheduled",
    **dict.fromkeys(("city_key", "state_key", "country_key", "organiser_id", "starts_after", "starts_before")),
    **dict.fromkeys(("after_starts_at", "after_event_id", "on_sale")),
}
BY_TIME = {"events_by_time", "events_by_start"}
WORDS = ["zebrafinch"]
SEARCHED = LISTED | {"patterns": [f"%{word}%" for word in WORDS], "pieces": pieces(WORDS)}
NO_PLACE: dict[str, Any] = dict.fromkeys(
    ("city_key", "state_key", "country_key", "after_starts_at", "after_event_id", "with_description")
)
AFTER = {"after_starts_at": NOON + timedelta(days=9), "after_event_id": UUID(int=1)}
OF_BUYER: dict[str, Any] = dict.fromkeys(("status", "event_id", "after_placed_at", "after_reservation_id"))
AT_EVENT: dict[str, Any] = OfEvent(UUID(int=1))._asdict() | dict.fromkeys(("after_placed_at", "after_reservation_id"))
OF_EVENT: dict[str, Any] = {"event_id": UUID(int=1), "after_begins_at": NOON, "after_ticket_type_id": UUID(int=1)}

PLANS = [
    (catalogue_queries.LISTED, LISTED, BY_TIME),
    (catalogue_queries.LISTED, LISTED | AFTER, BY_TIME),
    (catalogue_queries.LISTED, LISTED | {"starts_after": NOON + timedelta(days=5)}, {"events_by_start"}),
    (catalogue_queries.LISTED, LISTED | {"ends_after": NOON + timedelta(days=5), "is_upcoming": False}, BY_TIME),
    (catalogue_queries.LISTED, LISTED | {"is_upcoming": False, "status": None}, BY_TIME),
    (catalogue_queries.LISTED, LISTED | {"status": "cancelled"}, {"events_by_time"}),
    (catalogue_queries.LISTED, LISTED | {"on_sale": "now"}, BY_TIME),
    (catalogue_queries.LISTED, LISTED | {"organiser_id": UUID(int=7)}, {"events_of_organiser"}),
    (catalogue_queries.LISTED, LISTED | {"city_key": "city 7"}, {"events_by_city"}),
    (catalogue_queries.LISTED, LISTED | {"state_key": "state 7"} | AFTER, {"events_by_state"}),
    (catalogue_queries.LISTED, LISTED | {"country_key": "c7"}, {"events_by_country"}),
    (catalogue_queries.SEARCHED, SEARCHED, {"event_search_by_pieces"}),
    (
        events_queries.EVENTS_FOR,
        NO_PLACE | {"after_rank": -1, "city_key": "city 7", "state_key": "state 7", "country_key": "c7"},
        {"events_by_city", "events_by_state", "events_by_country"},
    ),
    (events_queries.EVENTS_FOR, NO_PLACE | {"after_rank": 2, "country_key": "c7"} | AFTER, {"events_by_country"}),
    (events_queries.EVENTS_FOR, NO_PLACE | {"after_rank": -1}, {"events_by_start"}),
    (events_queries.EVENT, {"event_id": UUID(int=1)}, {"events_pkey", "ticket_types_event_id_place_key"}),
    (reservations_queries.RESERVATION, {"reservation_id": UUID(int=1)}, {"reservations_pkey"}),
    (reservations_queries.RESERVATIONS, OF_BUYER | {"buyer_id": UUID(int=7)}, {"reservations_of_buyer"}),
    (
        reservations_queries.RESERVATIONS,
        OF_BUYER | {"buyer_id": UUID(int=7), "status": "paid"},
        {"reservations_of_buyer"},
    ),
    (reservations_queries.OF_EVENT, AT_EVENT, {"reservations_of_event"}),
    (reservations_queries.OF_EVENT, AT_EVENT | {"status": "paid"}, {"reservations_open"}),
    (events_queries.ORGANISER, {"event_id": UUID(int=1)}, {"events_pkey"}),
    (sales_queries.EVENT, {"event_id": UUID(int=1)}, {"events_pkey", "sales_by_minute_pkey"}),
    (sales_queries.MINUTES, OF_EVENT, {"sales_by_minute_pkey"}),
    (sales_queries.HOURS, OF_EVENT, {"sales_by_minute_pkey"}),
    (sales_queries.DAYS, OF_EVENT | {"midnights": [NOON, NOON + timedelta(days=1)]}, {"sales_by_minute_pkey"}),
    (reservations_queries.DUE, {}, {"reservations_due"}),
    (reservations_queries.NEXT_DUE, {}, {"reservations_due"}),
    (reservations_queries.OF_CANCELLED_EVENTS, {"after_position": 10_000}, {"events_cancelled", "reservations_open"}),
]
# Values in the order in which the query names them.
FIXED_QUERIES: list[tuple[str, dict[str, Any]]] = [
    *((table.read, table.asked(KEYS.get(table.key, IDS))) for table in TABLES),
    (events_queries.EVENT, {"event_id": UUID(int=1)}),
    (catalogue_queries.LISTED, LISTED | {"limit": 51}),
    (reservations_queries.RESERVATION, {"reservation_id": UUID(int=1)}),
    (reservations_queries.RESERVATIONS, {"buyer_id": UUID(int=7)} | OF_BUYER | {"limit": 51}),
    (reservations_queries.DUE, {"limit": 512}),
    (reservations_queries.NEXT_DUE, {}),
    (reservations_queries.OF_CANCELLED_EVENTS, {"after_position": 10, "limit": 512}),
]
NEWEST_PREPARED = "SELECT name FROM pg_prepared_statements ORDER BY prepare_time DESC LIMIT 1"
ANALYZE = "ANALYZE events, event_search, ticket_types, capacity_changes, reservations, sales_by_minute, audit_trail"


async def test_each_query_uses_its_index_at_a_hundred_thousand_reservations(database_url: str) -> None:
    async with await connect(database_url, None, role=WORKER_ROLE) as connection:
        await insert(connection, 1, 20_000)
        await connection.execute(MORE_RESERVATIONS)
        await connection.execute("RESET ROLE")
        await connection.execute(ANALYZE)
        for query, values, expected in PLANS:
            plan = await plan_of(connection, query, values | {"limit": 50})
            assert expected <= set(named(plan, "Index Name")), (query, values, plan)
            scanned = [one for one in nodes(plan) if one["Node Type"] == "Seq Scan" and one["Actual Rows"] > 1]
            assert scanned == [], (query, values, plan)


async def test_a_plan_made_while_the_tables_were_small_finds_its_rows_by_an_index(database_url: str) -> None:
    async with (
        await connect(database_url, None, role=WORKER_ROLE) as connection,
        await connect(database_url, **FOLD_SETTINGS) as folding,
    ):
        await insert(connection, 1, 60)
        await connection.execute("RESET ROLE")
        await connection.execute(ANALYZE)
        await folding.execute("SET plan_cache_mode = force_generic_plan")
        names = [await prepared(folding, query, values) for query, values in FIXED_QUERIES]
        await insert(connection, 61, 5_000)
        for name, (query, values) in zip(names, FIXED_QUERIES, strict=True):
            arguments = f"({', '.join(f'%({value})s' for value in values)})" if values else ""
            plan = await plan_of(folding, f'EXECUTE "{name}" {arguments}', values)
            assert "Seq Scan" not in named(plan, "Node Type"), (query, plan)


async def prepared(connection: Connection, query: str, values: dict[str, Any]) -> str:
    """Ask often enough for the query to be prepared; returns its name there."""
    for _ in range(8):
        await connection.execute(query, values, binary=True)
    row = await (await connection.execute(NEWEST_PREPARED, prepare=False)).fetchone()
    assert row is not None
    return str(row[0])


async def insert(connection: Connection, first: int, last: int) -> None:
    """Events at these positions, each with a ticket type and a reservation."""
    made = (MANY_EVENTS, MANY_SEARCHED, MANY_TICKET_TYPES, MANY_CAPACITIES, MANY_RESERVATIONS, MANY_SALES)
    for statement in (*made, MANY_DOMAIN_EVENTS):
        await connection.execute(statement, {"first": first, "last": last, "pieces": pieces(WORDS)})


async def plan_of(connection: Connection, query: str, values: dict[str, Any]) -> dict[str, Any]:
    # Bound by the client: EXECUTE takes no parameters of its own.
    cursor = psycopg.AsyncClientCursor(connection)
    await cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + query, values)
    row = await cursor.fetchone()
    assert row is not None
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return dict(plan[0]["Plan"])


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan's nodes, from the top down."""
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]


def named(plan: dict[str, Any], what: str) -> list[str]:
    return [node[what] for node in nodes(plan) if what in node]
