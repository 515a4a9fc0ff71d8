"""Tables with something in every one of them: a history that is stored and folded, and refused attempts beside it."""

from datetime import timedelta
from uuid import UUID, uuid4

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.writing.refused_attempts import RefusedAttempt
from projections import checkpoint
from projections.projector.batch_transaction import Batches
from tests import refused_rows
from tests.projections.histories import NOON, Command, append


async def fill(database_url: str, commands: list[Command]) -> list[RefusedAttempt]:
    """Store and fold the commands, and keep attempts of three accounts at the first event, refused in two minutes."""
    async with await connect(database_url, role=WORKER_ROLE) as connection:
        await append(connection, commands)
        batches = Batches(connection, await checkpoint.read(connection))
        while await batches.fold_next():
            pass
    attempts = attempts_at(commands[0][0].originator_id)
    async with await connect(database_url) as connection, connection.transaction():
        await refused_rows.insert(connection, attempts)
    return attempts


def attempts_at(event_id: UUID) -> list[RefusedAttempt]:
    accounts, ticket_type_id = [uuid4() for _ in range(3)], uuid4()
    wishes = [
        # account, after seconds, code, quantity, the last one that is kept
        (0, 1, "sold-out", 2, False),
        (0, 2, "sold-out", 1, True),
        (1, 59.9, "sold-out", 4, False),
        (1, 60, "sold-out", 4, False),
        (2, 3, "sales-not-open", 1, False),
    ]
    reserving = [
        RefusedAttempt(
            request_id=uuid4(),
            refused_at=NOON + timedelta(seconds=seconds),
            account_id=accounts[account],
            command="ReserveTickets",
            event_id=event_id,
            reservation_id=None,
            ticket_type_id=ticket_type_id,
            quantity=quantity,
            code=code,
            facts="{}",
            capacity=10,
            reserved=10,
            paid=0,
            position=0,
            last_kept=last_kept,
        )
        for account, seconds, code, quantity, last_kept in wishes
    ]
    paying = reserving[0]._replace(request_id=uuid4(), command="PayReservation", code="hold-expired", quantity=None)
    return [*reserving, paying]
