"""Who is refused as sold out is told when to come again, and then gets the tickets: over HTTP, to the instant."""

from datetime import UTC, datetime, timedelta

import httpx2

from api.app import ApiConfig
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import instant, new_event, pay, reserve, reserved
from tests.settable_clock import settable_clock

NOON = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)


async def test_at_the_instant_that_is_told_the_tickets_are_for_sale(
    config: ApiConfig, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    """No worker lives here: the buyer's own request takes the hold back."""
    ada, bert, carl = await new_account(), await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=2, max_per_buyer=2, hold_seconds=60)
    async with settable_clock(config.box_office) as clock:
        await clock.stand_at(NOON)
        first = await reserved(client, ada, event)
        await clock.stand_at(NOON + timedelta(seconds=1))
        await reserved(client, bert, event)
        told = problem_of(await reserve(client, carl, event), 409, "sold-out")
        assert (told["available"], told["next_hold_ends_at"]) == (0, first["hold_expires_at"])
        assert f"try again at {first['hold_expires_at']}: " in told["detail"]
        ends_at = datetime.fromisoformat(told["next_hold_ends_at"])
        await clock.stand_at(ends_at - timedelta(microseconds=1))
        problem_of(await reserve(client, carl, event), 409, "sold-out")
        await clock.stand_at(ends_at)
        mine = await reserved(client, carl, event)
        assert mine["placed_at"] == instant(ends_at) == told["next_hold_ends_at"]


async def test_nothing_is_told_where_no_hold_can_give_the_tickets(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, bert = await new_account(), await new_account()
    event = await new_event(client, ada, total_tickets=2, max_per_buyer=2)
    await pay(client, ada, await reserved(client, ada, event))
    held = await reserved(client, bert, event)
    told = problem_of(await reserve(client, ada, event), 409, "sold-out")
    assert told["next_hold_ends_at"] == held["hold_expires_at"]
    told = problem_of(await reserve(client, await new_account(), event, quantity=2), 409, "sold-out")
    assert (told["available"], told["next_hold_ends_at"]) == (0, None)
    assert "try again at" not in told["detail"]
