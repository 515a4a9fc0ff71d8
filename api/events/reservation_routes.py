"""The reservations of an event, for its organiser: one is cancelled, with the refund due."""

from fastapi import APIRouter, Response

from accounts.roles import actor_of
from api.docs.example_values import shown
from api.http.errors import NotFound
from api.http.idempotency_keys import IdempotencyKey, idempotency_of
from api.http.inputs import Cancellation, Id
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, refusals
from api.http.write_responses import POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import RequestId, TheServices
from api.reservations.schemas import AS_CANCELLED, ReservationAnswer, json_of
from domain.commands import RevokeReservation
from domain.errors import HoldExpired, IdempotencyKeyReused, NotTheOrganiser, ReservationNotFound
from domain.reservation import ReservationRecord

router = APIRouter(prefix="/events/{event_id}/reservations", tags=["events"], route_class=StrictJsonRoute)


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
