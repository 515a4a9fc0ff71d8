"""What an organiser has for sale: ticket types are added, tickets withheld and returned."""

from typing import Any

from fastapi import APIRouter, Response

from accounts.roles import actor_of
from api.docs.example_values import shown
from api.events.answers import EventAnswer, json_of
from api.events.if_match import IfMatch
from api.events.schemas import NewTicketType, TicketsOfType
from api.http.idempotency_keys import IdempotencyKey, id_to_create, idempotency_of
from api.http.inputs import Id
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, AnyNo, refusals
from api.http.write_responses import LOCATION_DOCUMENTED, POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount
from api.plumbing.services import RequestId, TheServices
from domain.commands import AddTicketType, ReturnTickets, WithholdTickets
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
    "/ticket-types",
    status_code=201,
    response_model=EventAnswer,
    responses={
        201: {"headers": LOCATION_DOCUMENTED | POSITION_DOCUMENTED | REPLAYED_DOCUMENTED, **shown(edition=13)},
        **refusals(*OF_STOCK),
    },
)
async def add_ticket_type(
    event_id: Id,
    new: NewTicketType,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> Response:
    """Offer another kind of ticket, on sale at once; an event has at most 100.

    Sent again with its key it is answered with the event as it stands then.
    """
    async with services.pool.connection() as connection:
        actor = await actor_of(connection, account)
    route = "POST /events/{event_id}/ticket-types"
    idempotency = idempotency_of(key, account.account_id, route, (event_id,), new)
    command = AddTicketType(
        event_id=event_id,
        request_id=request_id,
        actor=actor,
        idempotency=idempotency,
        editions=if_match,
        ticket_type=new.offer(id_to_create(idempotency)),
    )
    outcome = await services.commands.submit(command)
    return written(outcome, json_of(outcome), 201, f"{services.config.root_path}/events/{event_id}")


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
