"""What an organiser has for sale: tickets are withheld, and returned."""

from typing import Any

from fastapi import APIRouter, Response

from accounts.roles import actor_of
from api.docs.example_values import shown
from api.events.answers import EventAnswer, json_of
from api.events.if_match import IfMatch
from api.events.schemas import TicketsOfType
from api.http.idempotency_keys import IdempotencyKey, idempotency_of
from api.http.inputs import Id
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, AnyNo, refusals
from api.http.write_responses import POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import RequestId, TheServices
from domain.commands import ReturnTickets, WithholdTickets
from domain.errors import (
    ChangedMeanwhile,
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    IdempotencyKeyReused,
    NotTheOrganiser,
    TicketTypeNotFound,
    TicketTypeRequired,
    TooFewToWithhold,
    TooFewWithheld,
)

OF_STOCK: tuple[type[AnyNo], ...] = (
    EventNotFound,
    NotTheOrganiser,
    ChangedMeanwhile,
    EventIsCancelled,
    EventEnded,
    IdempotencyKeyReused,
    *COMMAND_FAILURES,
)
ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED, **shown(edition=13)}
}

router = APIRouter(prefix="/events/{event_id}", tags=["events"], route_class=StrictJsonRoute)


@router.post(
    "/withhold",
    response_model=EventAnswer,
    responses={**ANSWERED, **refusals(TicketTypeRequired, TicketTypeNotFound, TooFewToWithhold, *OF_STOCK)},
)
async def withhold_tickets(
    event_id: Id,
    tickets: TicketsOfType,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Take tickets out of sale, as many as are left at the most, until they are returned.

    Sent again with its key it is answered with the event as it stands then; of an event, the keys of its last 100
    changes are known.
    """
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    command = WithholdTickets(
        event_id=event_id,
        request_id=request_id,
        actor=actor,
        idempotency=idempotency_of(key, account.account_id, "POST /events/{event_id}/withhold", (event_id,), tickets),
        editions=if_match,
        quantity=tickets.quantity,
        ticket_type_id=tickets.ticket_type_id,
    )
    outcome = await services.commands.submit(command)
    return written(outcome, json_of(outcome))


@router.post(
    "/return",
    response_model=EventAnswer,
    responses={**ANSWERED, **refusals(TicketTypeRequired, TicketTypeNotFound, TooFewWithheld, *OF_STOCK)},
)
async def return_tickets(
    event_id: Id,
    tickets: TicketsOfType,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Put withheld tickets back on sale. A key counts as for withholding."""
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    command = ReturnTickets(
        event_id=event_id,
        request_id=request_id,
        actor=actor,
        idempotency=idempotency_of(key, account.account_id, "POST /events/{event_id}/return", (event_id,), tickets),
        editions=if_match,
        quantity=tickets.quantity,
        ticket_type_id=tickets.ticket_type_id,
    )
    outcome = await services.commands.submit(command)
    return written(outcome, json_of(outcome))
