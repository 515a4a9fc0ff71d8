"""The worker takes a hold that was extended back at its new end, and not before."""

from domain.commands import ReserveTickets
from domain.event_facts import Limits
from domain.reservation import ReservationExpired
from eventstore.postgres.connections import Connection
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tests.settable_clock import settable_clock
from tests.workers.conftest import Worker

EXPIRED = "SELECT count(*) FROM reservations WHERE status = 'expired'"
STANDS = """
SELECT status, hold_expires_at > placed_at + interval '10 s', expired_at >= hold_expires_at
FROM reservations WHERE reservation_id = %(reservation_id)s
"""


async def test_each_hold_ends_at_the_end_that_it_has(
    database_url: str, connection: Connection, commands: GroupCommit, worker: Worker
) -> None:
    """All begin 20 seconds ago and last for 10; one is extended by as much, and another by an hour."""

    async def reserved(extension_seconds: int) -> ReserveTickets:
        organiser, buyer = await box_office.register(connection, 2)
        limits = Limits(max_per_buyer=1, hold_seconds=10, hold_extension_seconds=extension_seconds)
        event = box_office.create(organiser, limits=limits)
        await commands.submit(event)
        wish = box_office.reserve(event.event_id, buyer)
        await commands.submit(wish)
        if extension_seconds:
            await commands.submit(box_office.extend(wish))
        return wish

    async def stands(wish: ReserveTickets) -> tuple[str, bool, bool | None]:
        (row,) = await (await connection.execute(STANDS, {"reservation_id": wish.reservation_id})).fetchall()
        return row  # type: ignore[no-any-return]

    async def are_over() -> bool:
        return bool(await box_office.only(connection, EXPIRED) == 2)

    async with settable_clock(database_url) as clock:
        await clock.shift(seconds=-20)
        plain, extended, lasting = [await reserved(seconds) for seconds in (0, 10, 3_600)]
        await clock.shift(seconds=0)
        async with worker():
            await box_office.until(are_over)
    assert await stands(plain) == ("expired", False, True)
    assert await stands(extended) == ("expired", True, True)
    assert await stands(lasting) == ("reserved", True, None)
    told = await box_office.judged_history(connection)
    assert told.types(extended.reservation_id) == ["ReservationPlaced", "ReservationExtended", "ReservationExpired"]
    assert isinstance(told.streams[extended.reservation_id][-1], ReservationExpired)
