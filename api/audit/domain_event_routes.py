"""The domain events for auditors: filtered, in pages, as a stream of lines, or as CloudEvents."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response, StreamingResponse

from api.audit.recorded_access import TheAuditor
from api.audit.schemas import SOME_STATE, DomainEventPage, Type, item_of
from api.docs.example_values import SOME_EVENT
from api.http.cursors import Cursor, after_cursor, cursor_at, within_bytes
from api.http.errors import AuditorsOnly
from api.http.inputs import USUAL_PAGE, Id, Instant, PageLimitIfAny, Position, unusable
from api.http.problems import refusals
from api.plumbing.read_your_writes import TheReader
from auditing.export.cloud_events import cloud_event
from auditing.replay import audit_trail_pages
from auditing.replay.audit_trail_pages import Entry
from domain.domain_event import SYSTEM
from projections.queries.audit_trail_queries import Filters

JSON, LINES, CLOUD_EVENTS = "application/json", "application/x-ndjson", "application/cloudevents-batch+json"
SOME_CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1042",
    "source": f"/events/{SOME_EVENT}",
    "type": "tixxety.TicketsHeld",
    "subject": SOME_EVENT,
    "time": SOME_STATE["timestamp"],
    "datacontenttype": "application/json",
    "sequence": "0000000000000001042",
    "partitionkey": SOME_EVENT,
    "data": SOME_STATE,
}
FOR_PAGES = "is for pages, and the lines are all there are; begin behind a position with after"

router = APIRouter(prefix="/audit", tags=["audit"])

_json = msgspec.json.Encoder()


def _known_actor(actor_id: str) -> str:
    """The account's id in its usual spelling, or `system`."""
    try:
        return actor_id if actor_id == SYSTEM else str(UUID(actor_id))
    except ValueError:
        raise ValueError("must be an account's id, or system") from None


@router.get(
    "/domain-events",
    response_model=DomainEventPage,
    responses={
        200: {
            "content": {
                LINES: {"schema": {"$ref": "#/components/schemas/DomainEventAnswer"}},
                CLOUD_EVENTS: {
                    "schema": {"type": "array", "items": {"type": "object"}},
                    "example": [SOME_CLOUD_EVENT],
                },
            },
            "headers": {
                "Link": {
                    "description": 'Of a page of CloudEvents: where the next one is, as `rel="next"`.',
                    "schema": {"type": "string"},
                }
            },
        },
        **refusals(AuditorsOnly),
    },
)
async def list_domain_events(
    request: Request,
    auditor: TheAuditor,
    reader: TheReader,
    event_id: Id | None = None,
    reservation_id: Id | None = None,
    actor_id: Annotated[
        Annotated[str, AfterValidator(_known_actor)] | None, Query(description="An account, or `system`.")
    ] = None,
    types: Annotated[
        list[Type] | None, Query(alias="type", description="A type of domain event; of several, any of them.")
    ] = None,
    since: Annotated[Instant | None, Query(description="Recorded at this instant or later.")] = None,
    until: Annotated[Instant | None, Query(description="Recorded before this instant.")] = None,
    after: Annotated[Position, Query(description="Behind this position.")] = 0,
    limit: PageLimitIfAny = None,
    cursor: Cursor = None,
    accept: Annotated[str | None, Header(description="One of the media types of the answer; else JSON.")] = None,
) -> Response:
    """The history in its order, as far as the filters select it; pages stay as they are while it grows.

    As `application/x-ndjson` all that is there at the start comes at once, a domain event a line, without pages; as
    `application/cloudevents-batch+json` a page of CloudEvents 1.0. Times are those of the database's clock; what it
    recorded before it was set back by half a minute or more is found by position, not by time.
    """
    account_id = UUID(actor_id) if actor_id not in (None, SYSTEM) else None
    wanted = tuple(sorted({*(types or ())}))
    filters = Filters(event_id, reservation_id, account_id, actor_id == SYSTEM, wanted, since, until, after)
    shape = media_type_of(accept)
    if shape == LINES:
        for name, given in (("limit", limit), ("cursor", cursor)):
            if given is not None:
                raise unusable("query", name, FOR_PAGES)
    place = after_cursor(cursor, ("domain events", *filters), tuple[int])
    connected = await auditor.reads(media_type=shape)
    async with reader.connection() as connection:
        if shape != LINES:
            behind = filters._replace(after=max(after, place[0])) if place else filters
            found, next_after = await audit_trail_pages.page(connection, behind, limit or USUAL_PAGE)
    if shape == LINES:
        pages = audit_trail_pages.pages(connected, filters)
        first = await anext(pages)
        return StreamingResponse(_lines(first, pages), headers={"Vary": "Accept"}, media_type=LINES)
    entries = within_bytes(found, _bytes)
    if len(entries) < len(found):
        next_after = entries[-1].found.position
    next_cursor = cursor_at(("domain events", *filters), (next_after,)) if next_after is not None else None
    return _cloud_events(request, entries, next_cursor) if shape == CLOUD_EVENTS else _page(entries, next_cursor)


def media_type_of(accept: str | None, known: tuple[str, ...] = (JSON, LINES, CLOUD_EVENTS)) -> str:
    """Which of some media types a client likes best; JSON when it says nothing that we know."""
    liked: list[tuple[float, str]] = []
    for one in (accept or "").split(","):
        name, *parameters = (part.strip().lower() for part in one.split(";"))
        weight = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        if name in known:
            liked.append((_number(weight), name))
    best, name = max(liked, key=lambda one: one[0], default=(0.0, JSON))
    return name if best > 0 else JSON


def _bytes(entry: Entry) -> int:
    return len(entry.stored.state) if entry.stored else 0


def _number(weight: str) -> float:
    try:
        return float(weight)
    except ValueError:
        return 0.0


def _page(entries: Sequence[Entry], next_cursor: str | None) -> Response:
    page = {"items": [item_of(entry) for entry in entries], "next_cursor": next_cursor}
    return Response(_json.encode(page), headers={"Vary": "Accept"}, media_type=JSON)


def _cloud_events(request: Request, entries: Sequence[Entry], next_cursor: str | None) -> Response:
    headers = {"Vary": "Accept"}
    if next_cursor is not None:
        asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        query = urlencode([*asked, ("cursor", next_cursor)])
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    batch = [cloud_event(entry.stored) for entry in entries if entry.stored]
    return Response(_json.encode(batch), headers=headers, media_type=CLOUD_EVENTS)


async def _lines(first: list[Entry], pages: AsyncIterator[list[Entry]]) -> AsyncIterator[bytes]:
    yield _json.encode_lines([item_of(entry) for entry in first])
    async for entries in pages:
        yield _json.encode_lines([item_of(entry) for entry in entries])
