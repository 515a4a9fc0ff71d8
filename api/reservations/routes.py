"""Reservations: reserve, look at one's own, pay, get more time, cancel."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.tokens import Account
from api.docs.example_values import shown
from api.http.cursors import Cursor, after_cursor, page_json
from api.http.idempotency_keys import IdempotencyKey, idempotency_of
from api.http.inputs import USUAL_PAGE, Id, PageLimit
from api.http.json_bodies import StrictJsonRoute
from api.http.problems import COMMAND_FAILURES, refusals
from api.http.ready_json import encode, ready_json
from api.http.write_responses import LOCATION_DOCUMENTED, POSITION_DOCUMENTED, REPLAYED_DOCUMENTED, written
from api.plumbing.authentication import CurrentAccount, check_account_lives, lent
from api.plumbing.read_your_writes import TheReader
from api.plumbing.services import RequestId, Services, TheServices
from api.reservations.schemas import (
    AS_CANCELLED,
    AS_PAID,
    Extension,
    NewReservation,
    Payment,
    ReservationAnswer,
    ReservationCancellation,
    ReservationPage,
    json_of,
    render,
)
from domain.commands import CancelReservation, ExtendReservation, PayReservation
from domain.errors import (
    EventEnded,
    EventIsCancelled,
    EventNotFound,
    ExtensionNotOffered,
    HoldExpired,
    IdempotencyKeyReused,
    LimitPerBuyer,
    MoreThanReserved,
    NotExtendable,
    NotPayable,
    ReservationNotFound,
    SalesClosed,
    SalesNotOpen,
    SoldOut,
    TicketTypeNotFound,
    TicketTypeRequired,
    TooManyParts,
)
from domain.reservation import ReservationRecord, Status
from eventstore.writing.group_transaction import Outcome
from projections.queries import reservations_queries

router = APIRouter(prefix="/reservations", tags=["reservations"], route_class=StrictJsonRoute)


@router.post(
    "",
    status_code=201,
    response_model=ReservationAnswer,
    responses={
        201: {"headers": LOCATION_DOCUMENTED | POSITION_DOCUMENTED | REPLAYED_DOCUMENTED},
        **refusals(
            IdempotencyKeyReused,
            EventNotFound,
            TicketTypeRequired,
            TicketTypeNotFound,
            EventIsCancelled,
            EventEnded,
            SalesNotOpen,
            SalesClosed,
            LimitPerBuyer,
            SoldOut,
            *COMMAND_FAILURES,
        ),
    },
)
async def reserve(
    new: NewReservation,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    key: IdempotencyKey = None,
) -> Response:
    """Hold tickets, all or nothing. Pay before `hold_expires_at`, or they are for sale again."""
    idempotency = idempotency_of(key, account.account_id, "POST /reservations", body=new)
    command = new.command(account.actor, request_id, idempotency)
    outcome = await services.commands.submit(command)
    return written(outcome, _json(outcome), 201, f"{services.config.root_path}/reservations/{command.reservation_id}")


@router.get("", response_model=ReservationPage)
async def list_reservations(
    account: CurrentAccount,
    reader: TheReader,
    status: Status | None = None,
    event_id: Id | None = None,
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Your reservations, newest first."""
    filters = ("reservations", account.account_id, status, event_id)
    after = after_cursor(cursor, filters, tuple[datetime, UUID])
    if status is None and event_id is None and after is None:
        rows = await reservations_queries.newest_reservations(reader.ask, account.account_id, limit + 1)
    else:
        async with reader.connection() as connection:
            rows = await reservations_queries.reservations(
                connection, account.account_id, status=status, event_id=event_id, after=after, limit=limit + 1
            )
    return ready_json(page_json(rows, limit, filters, lambda row: (row.placed_at, row.reservation_id), render))


@router.get("/{reservation_id}", response_model=ReservationAnswer, responses=refusals(ReservationNotFound))
async def read_reservation(reservation_id: Id, account: CurrentAccount, reader: TheReader) -> Response:
    """One of your reservations as it stands; another buyer's is not found."""
    row = await reservations_queries.reservation(reader.ask, reservation_id)
    if row is None or row.buyer_id != account.account_id:
        raise ReservationNotFound
    return ready_json(encode(render(row)))


@router.post(
    "/{reservation_id}/pay",
    response_model=ReservationAnswer,
    responses={
        200: {"headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED, **shown(**AS_PAID)},
        **refusals(
            IdempotencyKeyReused, ReservationNotFound, NotPayable, HoldExpired, EventIsCancelled, *COMMAND_FAILURES
        ),
    },
)
async def pay_reservation(
    reservation_id: Id,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    payment: Payment | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Pay for what is held, before `hold_expires_at`; free tickets, too. Paying again is the same answer."""
    paid = payment or Payment()
    route = "POST /reservations/{reservation_id}/pay"
    command = PayReservation(
        event_id=await _event_of(reservation_id, account, services),
        request_id=request_id,
        actor=account.actor,
        idempotency=idempotency_of(key, account.account_id, route, (reservation_id,), paid),
        reservation_id=reservation_id,
        payment_reference=paid.payment_reference,
    )
    outcome = await services.commands.submit(command)
    return written(outcome, _json(outcome))


@router.post(
    "/{reservation_id}/extend",
    response_model=ReservationAnswer,
    responses={
        200: {
            "headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED,
            **shown(hold_expires_at="2030-05-01T19:32:00Z", extended_at="2030-05-01T19:29:00Z"),
        },
        **refusals(
            IdempotencyKeyReused,
            ReservationNotFound,
            NotExtendable,
            HoldExpired,
            EventIsCancelled,
            EventEnded,
            ExtensionNotOffered,
            *COMMAND_FAILURES,
        ),
    },
)
async def extend_reservation(
    reservation_id: Id,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    extension: Extension | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Get more time to pay, once and while the hold lasts: the event's `hold_extension_seconds` behind its end.

    Asking again is the same answer.
    """
    route = "POST /reservations/{reservation_id}/extend"
    command = ExtendReservation(
        event_id=await _event_of(reservation_id, account, services),
        request_id=request_id,
        actor=account.actor,
        idempotency=idempotency_of(key, account.account_id, route, (reservation_id,)),
        reservation_id=reservation_id,
    )
    outcome = await services.commands.submit(command)
    return written(outcome, _json(outcome))


@router.post(
    "/{reservation_id}/cancel",
    response_model=ReservationAnswer,
    responses={
        200: {"headers": POSITION_DOCUMENTED | REPLAYED_DOCUMENTED, **shown(**AS_CANCELLED)},
        **refusals(
            IdempotencyKeyReused,
            ReservationNotFound,
            HoldExpired,
            EventEnded,
            MoreThanReserved,
            TooManyParts,
            *COMMAND_FAILURES,
        ),
    },
)
async def cancel_reservation(
    reservation_id: Id,
    account: CurrentAccount,
    services: TheServices,
    request_id: RequestId,
    cancellation: ReservationCancellation | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Give tickets back: a hold while it lasts, paid ones until the event ends, with the refund due recorded.

    With a `quantity`, so many of its tickets; the others stay as they are. What stays costs its share of the amount,
    rounded down to a minor unit, and the rest is refunded: in the end, what was paid. 15 parts at the most.
    """
    quantity = cancellation.quantity if cancellation else None
    route = "POST /reservations/{reservation_id}/cancel"
    command = CancelReservation(
        event_id=await _event_of(reservation_id, account, services),
        request_id=request_id,
        actor=account.actor,
        idempotency=idempotency_of(
            key, account.account_id, route, (reservation_id,), None if quantity is None else cancellation
        ),
        reservation_id=reservation_id,
        quantity=quantity,
    )
    outcome = await services.commands.submit(command)
    return written(outcome, _json(outcome))


async def _event_of(reservation_id: UUID, account: Account, services: Services) -> UUID:
    try:
        return await services.commands.event_of(reservation_id, account.account_id)
    except ReservationNotFound:
        async with lent(services, account.account_id) as connection:
            await check_account_lives(connection, account.account_id)
        raise


def _json(outcome: Outcome) -> bytes:
    assert isinstance(outcome.answer, ReservationRecord)  # noqa: S101 - commands about reservations are answered so
    return json_of(outcome.answer)
