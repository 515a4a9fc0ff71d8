"""How an event sells, over HTTP: who may ask, and that the buckets are what was recorded."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from fastapi import FastAPI
from psycopg.rows import dict_row

from accounts.roles import grant, revoke
from domain.commands import ChangeEvent
from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.api.conftest import LoggedIn, LogIn, log_in, problem_of
from tests.api.programme import UNKNOWN_ID, cancel, crowd, folding, new_event, pay, reserved, ticket_type
from tests.projections.histories import BoxOffice
from tests.projections.independent_fold import COUNTS
from tests.projections.sold import fill
from tests.projections.test_views_over_time import LONG_DAY, SHORT_DAY, Sale, around

MOST_EVENTFUL = """
SELECT event_id, time_zone FROM sales_by_minute JOIN events USING (event_id)
WHERE time_zone <> 'UTC' GROUP BY event_id, time_zone ORDER BY count(*) DESC LIMIT 1
"""
MINUTES = "SELECT * FROM sales_by_minute WHERE event_id = %(event_id)s ORDER BY minute, ticket_type_id"
SUMS = (*COUNTS, *(f"tickets_{count}" for count in COUNTS), "revenue_minor", "refunds_minor")


@pytest.fixture
async def analyst(client: httpx2.AsyncClient, new_account: LogIn, database_url: str) -> LoggedIn:
    ann = await new_account()
    await grant(database_url, ann.email, "analyst")
    return await log_in(client, ann.email)


@pytest.fixture
async def projections(database_url: str) -> AsyncIterator[None]:
    async with folding(database_url):
        yield


async def sales(client: httpx2.AsyncClient, reader: LoggedIn, event_id: Any, **query: Any) -> list[dict[str, Any]]:
    """All buckets, walked page by page."""
    items: list[dict[str, Any]] = []
    while True:
        path = f"/analytics/events/{event_id}/sales"
        answered = await client.get(path, params=query, headers=reader.headers)
        assert answered.status_code == 200, answered.text
        items += answered.json()["items"]
        if answered.json()["next_cursor"] is None:
            return items
        query["cursor"] = answered.json()["next_cursor"]


@pytest.mark.usefixtures("projections")
async def test_the_organiser_sees_what_was_sold_up_to_a_position(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser, ticket_types=[ticket_type("Seated")], max_per_buyer=3)
    ann, ben = await crowd(app, 2)
    paid = await reserved(client, ann, event, quantity=3)
    kept = await reserved(client, ben, event)
    for answered in (await pay(client, ann, paid), await pay(client, ben, kept)):
        assert answered.status_code == 200
    cancelled = await cancel(client, ben, "reservations", kept)
    assert cancelled.status_code == 200
    position = cancelled.headers["Tixxety-Position"]
    items = await sales(client, organiser, event["id"], bucket="day", min_position=position)
    assert {item["ticket_type_id"] for item in items} == {event["ticket_types"][0]["id"]}
    sums = {count: sum(item[count] for item in items) for count in SUMS}
    expected = {"placed": 2, "paid": 2, "expired": 0, "cancelled": 1, "returned": 1}
    expected |= {f"tickets_{count}": n for count, n in zip(COUNTS, (4, 4, 0, 1, 1), strict=True)}
    assert sums == expected | {"revenue_minor": 10_000, "refunds_minor": 2_500}
    assert {item["currency"] for item in items} == {"EUR"}


@pytest.mark.usefixtures("projections")
async def test_only_the_organiser_and_analysts_may_look(
    client: httpx2.AsyncClient, new_account: LogIn, analyst: LoggedIn, database_url: str
) -> None:
    organiser, admin, stranger = [await new_account() for _ in range(3)]
    event = await new_event(client, organiser)
    await grant(database_url, admin.email, "admin")
    for reader in (organiser, analyst, admin):
        assert await sales(client, reader, event["id"]) == []
    path = f"/analytics/events/{event['id']}/sales"
    problem = problem_of(await client.get(path, headers=stranger.headers), 403, "forbidden")
    assert "analyst" in problem["detail"]
    await revoke(database_url, analyst.email, "analyst")
    problem_of(await client.get(path, headers=analyst.headers), 403, "forbidden")
    problem_of(await client.get(path), 401, "not-authenticated")


async def test_what_can_not_be_answered_is_a_problem(client: httpx2.AsyncClient, analyst: LoggedIn) -> None:
    for event_id, query, status, code in (
        (UNKNOWN_ID, "", 404, "event-not-found"),
        ("none", "", 404, "not-found"),
        (UNKNOWN_ID, "bucket=week", 422, "invalid-request"),
        (UNKNOWN_ID, "limit=0", 422, "invalid-request"),
        (UNKNOWN_ID, "cursor=x", 404, "event-not-found"),
        (UNKNOWN_ID, "min_position=99", 422, "beyond-the-end"),
    ):
        answered = await client.get(f"/analytics/events/{event_id}/sales?{query}", headers=analyst.headers)
        problem_of(answered, status, code)


@pytest.mark.parametrize("bucket", ["minute", "hour", "day"])
async def test_pages_of_any_size_are_the_table_summed_up(
    client: httpx2.AsyncClient, analyst: LoggedIn, database_url: str, bucket: str
) -> None:
    await fill(database_url, BoxOffice(3).commands(600))
    async with await connect(database_url, timezone="Asia/Kathmandu") as connection:
        [(event_id, time_zone)] = await (await connection.execute(MOST_EVENTFUL)).fetchall()
        async with connection.cursor(row_factory=dict_row) as cursor:
            minutes = await (await cursor.execute(MINUTES, {"event_id": event_id})).fetchall()
    expected: dict[tuple[datetime, str], dict[str, int]] = {}
    for row in minutes:
        at = row["minute"].astimezone(UTC if bucket == "hour" else ZoneInfo(time_zone))
        begins_at = at.replace(
            **dict.fromkeys({"minute": (), "hour": ("minute",), "day": ("hour", "minute")}[bucket], 0)
        )
        sums = expected.setdefault((begins_at, str(row["ticket_type_id"])), dict.fromkeys(SUMS, 0))
        for count in SUMS:
            sums[count] += int(row[count])
    assert len(minutes) > 3
    lengths = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
    for limit in (1, 2, 3, 200):
        items = await sales(client, analyst, event_id, bucket=bucket, limit=limit)
        for item in items:
            begins_at = datetime.fromisoformat(item["begins_at"])
            assert item["begins_at_local"] == begins_at.astimezone(ZoneInfo(time_zone)).isoformat()
            assert datetime.fromisoformat(item["ends_at"]) == begins_at + lengths[bucket]
        keys = [(datetime.fromisoformat(item["begins_at"]), item["ticket_type_id"]) for item in items]
        assert keys == sorted(expected)
        assert [{count: item[count] for count in SUMS} for item in items] == [expected[key] for key in keys]


async def test_a_day_is_one_of_the_events_calendar_and_has_23_or_25_hours_where_the_clock_is_changed(
    client: httpx2.AsyncClient, analyst: LoggedIn, database_url: str
) -> None:
    sale = Sale("Europe/Riga")
    for day in (LONG_DAY, SHORT_DAY):
        for at in around(day, "Europe/Riga"):
            sale.buy(at)
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await sale.programme.fold(connection)
    for limit in (1, 200):
        items = await sales(client, analyst, sale.event_id, bucket="day", limit=limit)
        assert [(item["begins_at_local"], hours_of(item), item["tickets_paid"]) for item in items] == [
            ("2035-10-27T00:00:00+03:00", 24, 1),
            ("2035-10-28T00:00:00+03:00", 25, 2),
            ("2035-10-29T00:00:00+02:00", 24, 1),
            ("2036-03-29T00:00:00+02:00", 24, 1),
            ("2036-03-30T00:00:00+02:00", 23, 2),
            ("2036-03-31T00:00:00+03:00", 24, 1),
        ]


async def test_a_page_of_days_goes_on_only_while_the_event_has_the_time_zone_that_they_are_days_of(
    client: httpx2.AsyncClient, analyst: LoggedIn, database_url: str
) -> None:
    """Days of another zone begin at other instants: going on from the old ones would leave out sales or repeat them."""
    sale = Sale("Europe/Riga")
    for at in around(LONG_DAY, "Europe/Riga"):
        sale.buy(at)
    office = sale.programme.office
    path = f"/analytics/events/{sale.event_id}/sales"

    async def page(**query: Any) -> httpx2.Response:
        return await client.get(path, params={"limit": 1, **query}, headers=analyst.headers)

    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await sale.programme.fold(connection)
        cursors = {bucket: (await page(bucket=bucket)).json()["next_cursor"] for bucket in ("minute", "hour", "day")}
        organiser_id = office.aggregates[sale.event_id].created.organiser_id
        asked = office.asked_by(organiser_id, sale.event_id)
        sale.programme.submit([ChangeEvent(**asked, time_zone="Asia/Tokyo")])
        await sale.programme.fold(connection)
    problem = problem_of(await page(bucket="day", cursor=cursors.pop("day")), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == ["cursor"]
    for bucket, cursor in cursors.items():
        assert len((await page(bucket=bucket, cursor=cursor)).json()["items"]) == 1


def hours_of(item: dict[str, Any]) -> float:
    length = datetime.fromisoformat(item["ends_at"]) - datetime.fromisoformat(item["begins_at"])
    return length / timedelta(hours=1)
