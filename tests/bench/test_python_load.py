"""Clients that keep a pace: whoever was due counts, however late the answer."""

import asyncio
from contextlib import suppress

from bench.python_load import Crowd, until

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
BOUND_SECONDS = 10


def is_pacing() -> bool:
    return any(getattr(task.get_coro(), "__name__", "") == "_keep_pace" for task in asyncio.all_tasks())


def test_all_that_were_due_are_sent_and_count_though_answers_come_after_the_end() -> None:
    crowd = Crowd([b"GET / HTTP/1.1\r\n\r\n"], pace=1_000)
    overdue_at_end: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One answer at once, the next when nobody is due any more, then all the others."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: not is_pacing(), BOUND_SECONDS)
            overdue_at_end.append(len(crowd.overdue))
            writer.write(ANSWER)
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)

    async def measure() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            await crowd.run("127.0.0.1", server.sockets[0].getsockname()[1], connections=1, seconds=0.05)

    asyncio.run(measure())
    assert overdue_at_end[0] > 0
    assert not crowd.overdue
    assert crowd.statuses[204] == len(crowd.seconds) == overdue_at_end[0] + 2
    assert crowd.broken == 0
