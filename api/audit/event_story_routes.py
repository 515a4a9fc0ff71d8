"""The story of an event over HTTP: who changed what from what to what, and when, with the sales between in sums."""

from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.audit.recorded_access import TheAuditor
from api.audit.schemas import ActorId, CountsAnswer
from api.http.cursors import Cursor, Page, after_cursor, page_json
from api.http.errors import AuditorsOnly
from api.http.inputs import USUAL_PAGE, Id, Instant, PageLimit
from api.http.problems import refusals
from api.http.ready_json import encode, ready_json, renderer
from auditing.stories import story_sources
from auditing.stories.event_story import EventStoryEntry
from domain.errors import EventNotFound

_SOME_SENTENCE = "The organiser changed the capacity of Standing from 400 to 500, with 312 of 500 then taken."

router = APIRouter(prefix="/audit", tags=["audit"])


class ChangeAnswer(BaseModel):
    """One field before and after; null where there was nothing."""

    what: Annotated[str, Field(description="The field, as the event or its ticket type has it.", examples=["capacity"])]
    ticket_type_id: Annotated[UUID | None, Field(description="Null where it is one of the event itself.")]
    before: Annotated[Any, Field(examples=[400])]
    after: Annotated[Any, Field(examples=[500])]


class SalesSumAnswer(BaseModel):
    """Tickets of one type to which something happened between two changes, and the money in the minor unit."""

    ticket_type_id: UUID
    tickets_held: Annotated[int, Field(examples=[130])]
    tickets_held_longer: Annotated[int, Field(description="Of which buyers got more time to pay.", examples=[0])]
    tickets_paid: Annotated[int, Field(examples=[101])]
    tickets_released: Annotated[
        dict[str, int], Field(description="By the reason that was recorded.", examples=[{"expired": 12, "buyer": 1}])
    ]
    revenue_minor: Annotated[int, Field(description="What was paid.", examples=[404_000])]
    refunds_due_minor: Annotated[int, Field(description="What became due to be paid back.", examples=[4_000])]
    currency: str


class EventStoryEntryAnswer(BaseModel):
    """A change, or all that buyers did between two changes: `type` is a domain event's, or `sales`.

    `first_position` and `first_at` are those of the first domain event, and no other entry's; `at` is that of the last,
    and `position` the end of its command, which the event can be read as of. Changes of one command share it.
    """

    type: Annotated[str, Field(examples=["CapacityChanged"])]
    first_position: Annotated[int, Field(examples=[1042])]
    first_at: Annotated[Instant, Field(examples=["2030-05-01T19:28:00Z"])]
    position: int
    at: Instant
    actor_id: Annotated[ActorId | None, Field(description="An account, or `system`; null of sales.")]
    request_id: Annotated[UUID | None, Field(description="Null of sales.")]
    changes: list[ChangeAnswer]
    sales: list[SalesSumAnswer]
    counts: Annotated[list[CountsAnswer], Field(description="Those of each ticket type after it.")]
    sentence: Annotated[str, Field(examples=[_SOME_SENTENCE])]


class EventStoryPage(Page[EventStoryEntryAnswer]):
    """Entries in order. The sales since the last change go on: of all entries only the last one may grow."""


_counts = renderer(CountsAnswer)


@router.get(
    "/events/{event_id}/story",
    response_model=EventStoryPage,
    responses=refusals(AuditorsOnly, EventNotFound),
)
async def read_story_of_event(
    event_id: Id, auditor: TheAuditor, limit: PageLimit = USUAL_PAGE, cursor: Cursor = None
) -> Response:
    """The story of an event: each change of it in a sentence, from what to what and by whom, and the sales in sums.

    Folded anew from the history up to the page's end. A long history takes a second or two.
    """
    filters = ("event story", event_id)
    (after,) = after_cursor(cursor, filters, tuple[int]) or (0,)
    connected = await auditor.reads()
    found: list[EventStoryEntry] = []
    async with aclosing(story_sources.of_event(connected, event_id)) as entries:
        async for entry in entries:
            if entry.first_position > after:
                found.append(entry)
            if len(found) > limit:
                break
    return ready_json(page_json(found, limit, filters, lambda entry: (entry.first_position,), render_event_story_entry))


def render_event_story_entry(entry: EventStoryEntry) -> dict[str, Any]:
    """What encodes as an `EventStoryEntryAnswer`."""
    currencies = {row.ticket_type_id: row.currency for row in entry.ticket_types}
    sales = [
        {
            "ticket_type_id": total.ticket_type_id,
            "tickets_held": total.held,
            "tickets_held_longer": total.held_longer,
            "tickets_paid": total.paid,
            "tickets_released": total.released,
            "revenue_minor": total.revenue_minor,
            "refunds_due_minor": total.refunds_due_minor,
            "currency": currencies[total.ticket_type_id],
        }
        for total in entry.sales
    ]
    told = entry._asdict()
    del told["ticket_types"]
    changes = [change._asdict() for change in entry.changes]
    return told | {"changes": changes, "sales": sales, "counts": [_counts(row) for row in entry.ticket_types]}


def json_line_of_entry(entry: EventStoryEntry) -> str:
    """The same as a line of NDJSON."""
    return encode(render_event_story_entry(entry)).decode() + "\n"
