"""Analytics: how an event sells, for its organiser and for analysts."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from accounts.roles import roles_of
from accounts.tokens import ADMIN, ANALYST
from api.http.cursors import Cursor, Page, after_cursor, page_of
from api.http.errors import AnalystsOnly
from api.http.inputs import USUAL_PAGE, Id, Instant, PageLimit
from api.http.problems import refusals
from api.http.time_zones import LocalTime, midnights, on_a_clock
from api.plumbing.authentication import CurrentAccount
from api.plumbing.read_your_writes import TheReader
from domain.errors import EventNotFound
from projections.queries import sales_queries
from projections.queries.sales_queries import Bucket, Sales, SoldEvent

router = APIRouter(prefix="/analytics", tags=["analytics"])

LENGTHS: dict[Bucket, timedelta] = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


class SalesAnswer(BaseModel):
    """One ticket type in one bucket of time. Each step counts in the bucket in which it was recorded."""

    begins_at: Annotated[
        Instant, Field(description="The bucket's first instant, in UTC.", examples=["2030-05-01T19:00:00Z"])
    ]
    begins_at_local: Annotated[LocalTime, Field(examples=["2030-05-01T22:00:00+03:00"])]
    ends_at: Annotated[
        Instant,
        Field(
            description="The first instant behind it. A day has 23 or 25 hours where the clock is changed.",
            examples=["2030-05-01T20:00:00Z"],
        ),
    ]
    ticket_type_id: UUID
    placed: Annotated[int, Field(description="Reservations placed.", examples=[60])]
    paid: Annotated[int, Field(examples=[50])]
    expired: Annotated[int, Field(examples=[6])]
    cancelled: Annotated[int, Field(description="By the buyer, the organiser or with the event.", examples=[4])]
    returned: Annotated[int, Field(description="Of those cancelled: the ones that had been paid.", examples=[2])]
    tickets_placed: Annotated[int, Field(description="Tickets of the reservations placed.", examples=[120])]
    tickets_paid: Annotated[int, Field(examples=[100])]
    tickets_expired: Annotated[int, Field(examples=[12])]
    tickets_cancelled: Annotated[int, Field(examples=[8])]
    tickets_returned: Annotated[int, Field(examples=[4])]
    revenue_minor: Annotated[int, Field(description="What was paid, in the currency's minor unit.", examples=[400000])]
    refunds_minor: Annotated[int, Field(description="What became due to be paid back.", examples=[16000])]
    currency: str

    @classmethod
    def of_row(cls, row: Sales, ends_at: datetime, time_zone: str) -> Self:
        """A bucket as the projections have it, of an event in this time zone."""
        return cls(begins_at_local=on_a_clock(row.begins_at, time_zone), ends_at=ends_at, **row._asdict())


class SalesPage(Page[SalesAnswer]):
    """A page of buckets."""


@router.get("/events/{event_id}/sales", responses=refusals(EventNotFound, AnalystsOnly))
async def list_sales(
    event_id: Id,
    account: CurrentAccount,
    reader: TheReader,
    bucket: Annotated[
        Bucket,
        Query(description="How much time is summed up: days are those of the event's `time_zone`, hours those of UTC."),
    ] = "hour",
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
) -> SalesPage:
    """What was reserved, paid and given back of each ticket type, bucket by bucket; empty ones are left out.

    A day begins at midnight in the event's `time_zone`, and has 23 or 25 hours where the clock is changed there.
    For the event's organiser, and for the roles `analyst` and `admin`.
    """
    async with reader.connection() as connection:
        event = await sales_queries.sold_event(connection, event_id)
        if event is None:
            raise EventNotFound
        if account.account_id != event.organiser_id and not await roles_of(connection, account) & {ANALYST, ADMIN}:
            raise AnalystsOnly
        # In another time zone days begin at other instants: no page of theirs goes on from one of before.
        filters = ("sales", event_id, bucket, event.time_zone if bucket == "day" else None)
        after = after_cursor(cursor, filters, tuple[datetime, UUID])
        days = _midnights(event)
        rows = await sales_queries.sales(
            connection, event_id, bucket=bucket, midnights=days, after=after, limit=limit + 1
        )
    shown, next_cursor = page_of(rows, limit, filters, lambda row: (row.begins_at, row.ticket_type_id))
    ends = (
        dict(pairwise(days)) if bucket == "day" else {row.begins_at: row.begins_at + LENGTHS[bucket] for row in shown}
    )
    items = [SalesAnswer.of_row(row, ends[row.begins_at], event.time_zone) for row in shown]
    return SalesPage(items=items, next_cursor=next_cursor)


def _midnights(event: SoldEvent) -> list[datetime]:
    """Those of all days with sales, and of the day after them, which may have begun meanwhile."""
    if event.first_minute is None or event.last_minute is None:
        return []
    return midnights(event.first_minute, event.last_minute, event.time_zone)
