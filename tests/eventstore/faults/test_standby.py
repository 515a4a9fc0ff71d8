"""A server that follows another takes no writes: who asks it to sell, or for an earlier answer, is told so."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.commands import CreateEvent, ReserveTickets
from eventstore.errors import ReadOnly
from eventstore.postgres.connections import connect
from eventstore.writing.group_commit import GroupCommit
from tests import box_office
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.schema.migration import migrate


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    """A server that may be started and stopped, and that nobody else has."""
    server = EmbeddedPostgres(home, durable=False)
    try:
        yield server
    finally:
        server.discard()


def test_a_standby_sells_nothing_and_repeats_no_answer(server: EmbeddedPostgres) -> None:
    migrate(url := server.start())
    event, wish = asyncio.run(sold(url))
    server.stop()
    (server.cluster / "data" / "standby.signal").touch()
    asyncio.run(expect_read_only(server.start(), event, wish))


async def sold(url: str) -> tuple[CreateEvent, ReserveTickets]:
    async with await connect(url) as connection:
        organiser, buyer = await box_office.register(connection, 2)
    event = box_office.create(organiser)
    wish = box_office.reserve(event.event_id, buyer, idempotency=box_office.key("k"))
    async with GroupCommit(url) as commands:
        await commands.submit(event)
        await commands.submit(wish)
    return event, wish


async def expect_read_only(url: str, event: CreateEvent, wish: ReserveTickets) -> None:
    another = box_office.reserve(event.event_id, wish.actor.account_id)
    async with GroupCommit(url) as commands:
        for asked in (another, replace(wish, request_id=uuid4())):
            with pytest.raises(ReadOnly):
                await commands.submit(asked)
