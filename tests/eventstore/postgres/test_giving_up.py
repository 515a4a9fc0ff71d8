"""A connection that is given up while it is being made is closed at once."""

import asyncio

import pytest

from eventstore.postgres.connections import connect


async def test_a_server_does_not_wait_for_who_has_given_up() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()
        gone.set()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"postgresql://nobody@127.0.0.1:{port}/none?sslmode=disable&gssencmode=disable"
        connecting = asyncio.create_task(connect(url))
        await asyncio.wait_for(arrived.wait(), 10)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError) as given_up:
            await connecting
        await asyncio.wait_for(gone.wait(), 2)
        assert given_up.tb is not None, "which has all that it was doing, and nobody collects that"
