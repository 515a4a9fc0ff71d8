"""The reservations of an event, for its organiser: who has bought, and one is cancelled with the refund due."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Response
from starlette.responses import StreamingResponse

from accounts.roles import actor_of
from api.audit.domain_event_routes import JSON, LINES, media_type_of
from api.audit.recorded_access import Auditor, OnRecord
from api.docs.example_values import shown
from api.events.event_reservations import (
    Bought,
    EventReservationPage,
    csv_header,
    csv_of,
    lines_of,
    part,
    parts,
)
from api.http.cursors import Cursor, after_cursor, page_json
from api.http.errors import NotFound
from api.http.idempotency_keys import IdempotencyKey, idempotency_of
from api.http.inputs import USUAL_PAGE, Cancellation, Id, Instant, PageLimitIfAny, unusable
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, refusals
from api.http.ready_json import ready_json
from api.http.write_responses import POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount, Lent
from api.plumbing.read_your_writes import Reader, TheReader
from api.plumbing.services import RequestId, TheServices
from api.reservations.schemas import AS_CANCELLED, ReservationAnswer, json_of
from domain.commands import RevokeReservation
from domain.errors import EventNotFound, HoldExpired, IdempotencyKeyReused, NotTheOrganiser, ReservationNotFound
from domain.reservation import ReservationRecord, Status
from projections.queries import events_queries
from projections.queries.reservations_queries import OfEvent

CSV = "text/csv"
FOR_PAGES = "is for pages, and an export is all there is"
SOME_CSV = "id,event_id,...,buyer_id,buyer_name,buyer_email\n"


async def wanted_reservations(
    event_id: Id,
    status: Status | None = None,
    ticket_type_id: Id | None = None,
    buyer_id: Id | None = None,
    placed_from: Annotated[Instant | None, Query(description="Placed at this instant or later.")] = None,
    placed_before: Annotated[Instant | None, Query(description="Placed before this instant.")] = None,
) -> OfEvent:
    """Which reservations are asked for."""
    return OfEvent(event_id, status, ticket_type_id, buyer_id, placed_from, placed_before)


Wanted = Annotated[OfEvent, Depends(wanted_reservations)]

router = APIRouter(prefix="/events/{event_id}/reservations", tags=["events"], route_class=StrictJsonRoute)


@router.get(
    "",
    response_model=EventReservationPage,
    responses={
        200: {
            "content": {
                LINES: {"schema": {"$ref": "#/components/schemas/EventReservationAnswer"}},
                CSV: {"schema": {"type": "string"}, "example": SOME_CSV},
            }
        },
        **refusals(EventNotFound, NotTheOrganiser),
    },
)
async def list_event_reservations(
    wanted: Wanted,
    on_record: OnRecord,
    reader: TheReader,
    limit: PageLimitIfAny = None,
    cursor: Cursor = None,
    accept: Annotated[str | None, Header(description="One of the media types of the answer; else JSON.")] = None,
) -> Response:
    """The reservations of your event, newest first, and who has placed them; each look is kept for auditors.

    As `application/x-ndjson` or `text/csv` all that are there come at once, each as it stands when it is read. In CSV a
    text that a spreadsheet would take for a formula has a quote (`'`) before it.
    """
    filters, size = ("reservations of an event", *wanted), limit or USUAL_PAGE
    shape = media_type_of(accept, (JSON, LINES, CSV))
    for name, given in (("limit", limit), ("cursor", cursor)):
        if given is not None and shape != JSON:
            raise unusable("query", name, FOR_PAGES)
    after = after_cursor(cursor, filters, tuple[datetime, UUID])
    await _check_may_read(wanted.event_id, on_record, reader)
    connected = await on_record.reads(media_type=shape)
    if shape != JSON:
        return await _export(wanted, connected, shape)
    async with connected() as connection:
        found = await part(connection, wanted, after, size + 1)
    answer = ready_json(page_json(found, size, filters, lambda one: one.place, Bought.rendered))
    answer.headers["Vary"] = "Accept"
    return answer


@router.post(
    "/{reservation_id}/cancel",
    response_model=ReservationAnswer,
    responses={
        200: {
            "headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED,
            **shown(**AS_CANCELLED | {"cancel_reason": "organiser"}),
        },
        **refusals(NotTheOrganiser, NotFound, HoldExpired, IdempotencyKeyReused, *COMMAND_FAILURES),
    },
)
async def cancel_reservation_as_organiser(
    event_id: Id,
    reservation_id: Id,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    cancellation: Cancellation | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Cancel one buyer's reservation: a hold while it lasts, paid tickets also after the event's end.

    The refund due is recorded, with the reason `organiser`. What the buyer or the event's end has cancelled is the same
    answer as before.
    """
    route = "POST /events/{event_id}/reservations/{reservation_id}/cancel"
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    try:
        found = await services.commands.event_of(reservation_id, account.account_id)
    except ReservationNotFound:
        raise NotFound from None
    if found != event_id:
        raise NotFound
    command = RevokeReservation(
        event_id=event_id,
        request_id=request_id,
        actor=actor,
        idempotency=idempotency_of(key, account.account_id, route, (event_id, reservation_id)),
        reservation_id=reservation_id,
    )
    outcome = await services.commands.submit(command)
    assert isinstance(outcome.answer, ReservationRecord)  # noqa: S101 - commands about reservations are answered so
    return written(outcome, json_of(outcome.answer))


async def _check_may_read(event_id: UUID, on_record: Auditor, reader: Reader) -> None:
    """Raises `EventNotFound`, and `NotTheOrganiser` for all but the organiser and admins."""
    async with reader.connection() as connection:
        organiser_id = await events_queries.organiser(connection, event_id)
        if organiser_id is None:
            raise EventNotFound
        actor = await actor_of(connection, on_record.account)
        if actor.account_id != organiser_id and not actor.is_admin:
            raise NotTheOrganiser


async def _export(wanted: OfEvent, connected: Lent, shape: str) -> Response:
    """All of them, in the making: what can't be answered is so before the first byte."""
    found_in_parts = parts(connected, wanted)
    first = await anext(found_in_parts)
    begin, write, ending = (csv_header(), csv_of, "csv") if shape == CSV else (b"", lines_of, "ndjson")

    async def written() -> AsyncIterator[bytes]:
        yield begin + write(first)
        async for found in found_in_parts:
            yield write(found)

    name = f"reservations-{wanted.event_id}.{ending}"
    headers = {"Vary": "Accept", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(written(), headers=headers, media_type=shape)
