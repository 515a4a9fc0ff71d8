"""Events: the catalogue for everybody; creating, changing and cancelling for organisers."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Query, Response

from accounts import account_queries
from accounts.roles import actor_of
from api.docs.example_values import shown
from api.events.answers import EventAnswer, EventPage, json_of, render_event, render_listed, rendering
from api.events.filters import ALL_UPCOMING, TheAskedFor
from api.events.if_match import IfMatch
from api.events.schemas import EventChange, NewEvent
from api.http.cursors import Cursor, after_cursor, page_json
from api.http.errors import SearchesOverloaded, SearchTooSlow
from api.http.idempotency_keys import IdempotencyKey, idempotency_of
from api.http.inputs import USUAL_PAGE, Cancellation, Id, PageLimit, YesOrNo
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, refusals
from api.http.ready_json import encode, ready_json
from api.http.write_responses import LOCATION_DOCUMENTED, POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount
from api.plumbing.kept_answers import Rendering
from api.plumbing.read_your_writes import TheReader
from api.plumbing.services import RequestId, TheServices
from domain.commands import CancelEvent
from domain.errors import (
    AccountClosed,
    CapacityBelowTaken,
    ChangedMeanwhile,
    EventEnded,
    EventExists,
    EventIsCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    NotTheOrganiser,
    TicketTypeNotFound,
    TicketTypeRequired,
)
from eventstore.postgres.shared_reads import Ask
from eventstore.writing.group_transaction import Outcome
from projections.queries import catalogue_queries, events_queries
from projections.queries.events_queries import LAST_RANK, ShownEvent

ETAG_DOCUMENTED = {
    "ETag": {
        "description": "Changes with the answer; an event's with every sale, too, of which `If-Match` takes no notice.",
        "schema": {"type": "string"},
    }
}
NOT_MODIFIED_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"headers": ETAG_DOCUMENTED},
    304: {"description": "The answer is still the one with this ETag.", "headers": ETAG_DOCUMENTED},
}

WithDescription = Annotated[YesOrNo, Query(description="Whether each event comes with its description.")]
Rank = Annotated[int, msgspec.Meta(ge=0, le=LAST_RANK)]
IfNoneMatch = Annotated[str | None, Header(description="ETags of answers that you have already.")]


def first_page_key(limit: int) -> object:
    """What the first page without a filter is kept by."""
    return "events", limit


router = APIRouter(prefix="/events", tags=["events"], route_class=StrictJsonRoute)


@router.post(
    "",
    status_code=201,
    response_model=EventAnswer,
    responses={
        201: {"headers": LOCATION_DOCUMENTED | POSITION_DOCUMENTED | REPLAYED_DOCUMENTED},
        **refusals(EventExists, IdempotencyKeyReused, *COMMAND_FAILURES),
    },
)
async def create_event(
    new: NewEvent,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    key: IdempotencyKey = None,
) -> Response:
    """Put an event on the programme. It starts in the future; sales are open at once unless you say otherwise."""
    idempotency = idempotency_of(key, account.account_id, "POST /events", body=new)
    command = new.command(account.actor, request_id, idempotency)
    outcome = await services.commands.submit(command)
    # Also when it is sent again: whether it was on sale when it was created.
    decided_at = outcome.answer[0].timestamp
    body = _json(outcome._replace(decided_at=decided_at))
    return written(outcome, body, 201, f"{services.config.root_path}/events/{command.event_id}")


@router.get(
    "",
    response_model=EventPage,
    responses=NOT_MODIFIED_DOCUMENTED | refusals(SearchTooSlow, SearchesOverloaded),
)
async def list_events(
    reader: TheReader,
    asked_for: TheAskedFor,
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
    with_description: WithDescription = False,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Events by their start: those that are scheduled and have not ended, unless you ask for others.

    `from`, `starts_after` and `ends_after` reach back to those that have ended, `status` to cancelled ones. What is on
    at the moment: `to` the present. The first page without a filter has an ETag.
    """
    after = after_cursor(cursor, asked_for, tuple[datetime, UUID])
    filters = asked_for.filters(reader.account)

    def page(rows: list[ShownEvent]) -> bytes:
        render = render_event if with_description else render_listed
        return page_json(rows, limit, asked_for, lambda row: (row.event.starts_at, row.event.event_id), render)

    if asked_for == ALL_UPCOMING and after is None and not with_description:

        async def first(ask: Ask) -> Rendering:
            rows = await catalogue_queries.first_events(ask, limit + 1)
            return rendering(page(rows), rows)

        return await reader.kept(first_page_key(limit), first, if_none_match=if_none_match)
    passes_many_over = filters.q is not None or filters.on_sale is not None
    async with reader.connection(for_search=passes_many_over) as connection:
        rows = await catalogue_queries.events(
            connection, filters, after=after, with_description=with_description, limit=limit + 1
        )
    return ready_json(page(rows))


@router.get("/for-you", response_model=EventPage)
async def list_events_for_you(
    account: CurrentAccount,
    reader: TheReader,
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
    with_description: WithDescription = False,
) -> Response:
    """Upcoming events near you: your city first, then your state, then your country; without one, anywhere."""
    async with reader.connection() as connection:
        home = await account_queries.read(connection, account.account_id)
        if home is None:
            raise AccountClosed
        filters = ("events for", account.account_id, home.city, home.state, home.country)
        after = after_cursor(cursor, filters, tuple[Rank, datetime, UUID])
        rows = await events_queries.events_for(
            connection,
            city=home.city,
            state=home.state,
            country=home.country,
            after=after,
            with_description=with_description,
            limit=limit + 1,
        )
    render = render_event if with_description else render_listed
    return ready_json(
        page_json(
            rows,
            limit,
            filters,
            lambda nearby: (nearby.rank, nearby.shown.event.starts_at, nearby.shown.event.event_id),
            lambda nearby: render(nearby.shown),
        )
    )


@router.get(
    "/{event_id}",
    response_model=EventAnswer,
    responses=NOT_MODIFIED_DOCUMENTED | refusals(EventNotFound),
)
async def read_event(
    event_id: Id,
    reader: TheReader,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """An event with its ticket types and how many tickets are left."""

    async def one(ask: Ask) -> Rendering:
        shown = await events_queries.event(ask, event_id)
        if shown is None:
            raise EventNotFound
        return rendering(encode(render_event(shown)), [shown])._replace(edition=shown.event.edition)

    return await reader.kept(event_id, one, event_id, if_none_match)


@router.patch(
    "/{event_id}",
    response_model=EventAnswer,
    responses={
        200: {"headers": POSITION_DOCUMENTED},
        **refusals(
            EventNotFound,
            NotTheOrganiser,
            ChangedMeanwhile,
            EventIsCancelled,
            EventEnded,
            EventExists,
            TicketTypeRequired,
            TicketTypeNotFound,
            CapacityBelowTaken,
            *COMMAND_FAILURES,
        ),
    },
)
async def change_event(
    event_id: Id,
    change: EventChange,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    if_match: IfMatch = None,
) -> Response:
    """Change details, capacities, prices, sales window or limits, all or nothing; equal values record nothing.

    Limits and prices count for reservations to come. A capacity can't go below what is reserved, paid or withheld.
    """
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    outcome = await services.commands.submit(change.command(event_id, actor, request_id, if_match))
    return written(outcome, _json(outcome))


@router.post(
    "/{event_id}/cancel",
    response_model=EventAnswer,
    responses={
        200: {
            "headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED,
            **shown(
                status="cancelled", cancelled_at="2030-05-01T19:30:00Z", on_sale="cancelled", on_sale_changes_at=None
            ),
        },
        **refusals(EventNotFound, NotTheOrganiser, ChangedMeanwhile, IdempotencyKeyReused, *COMMAND_FAILURES),
    },
)
async def cancel_event(
    event_id: Id,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    cancellation: Cancellation | None = None,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Call an event off, for good, also after its end. Its reservations end soon after, with refunds due recorded."""
    idempotency = idempotency_of(key, account.account_id, "POST /events/{event_id}/cancel", (event_id,))
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    command = CancelEvent(
        event_id=event_id, request_id=request_id, actor=actor, idempotency=idempotency, editions=if_match
    )
    outcome = await services.commands.submit(command)
    return written(outcome, _json(outcome))


def _json(outcome: Outcome) -> bytes:
    return json_of(outcome)
