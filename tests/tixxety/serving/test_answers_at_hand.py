"""What the application has at hand is answered without a task for it, and in no other way than anything else."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from api.express_lane import AT_HAND
from api.http.ready_json import ReadyJson, ready_json
from tests.tixxety.serving.raw_http import Client, expect_problem, running
from tixxety.serving import http_protocol
from tixxety.serving.api_process import server
from tixxety.settings import Settings

MADE = b"GET /made HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE_BYTES = 4 * 1024 * 1024


def kept(name: str, *headers: str) -> bytes:
    """A request for what is at hand."""
    return "\r\n".join([f"GET /kept/{name} HTTP/1.1", "Host: here", *headers, "", ""]).encode()


class Desk:
    """The application: has at hand what is below /kept, and makes everything else."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.asked = 0

    def at_hand(self, scope: Scope) -> ReadyJson | None:
        """The name that is asked for, or very much of nothing."""
        self.asked += 1
        _, _, name = scope["path"].partition("/kept/")
        if name == "known":
            return ReadyJson(b"", [(b"etag", b'"known"')], 304)
        return ready_json(b"x" * LARGE_BYTES if name == "large" else f'"{name}"'.encode()) if name else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][AT_HAND] = self.at_hand
            for _ in range(2):
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
            return
        self.made.append(scope["path"])
        await asyncio.sleep(0)
        await PlainTextResponse(f"made {scope['path']}")(scope, receive, send)


@pytest.fixture
def desk() -> Desk:
    """The application."""
    return Desk()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    """A connection to the server as the commands start it."""
    async with running(server(Settings(), lambda: desk)) as connect:
        yield await connect()


async def test_what_is_at_hand_is_answered_like_anything_else(client: Client, desk: Desk) -> None:
    for _ in range(2):
        await client.send(kept("one"))
        head, _, body = (await client.one_answer()).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        assert (status, body) == (b"HTTP/1.1 200 OK", b'"one"')
        assert (headers.keys() - {b"date"}, headers[b"content-length"]) == (
            {b"content-length", b"content-type", b"x-content-type-options"},
            b"5",
        )
    assert desk.made == []


async def test_answers_come_in_the_order_of_their_requests(client: Client, desk: Desk) -> None:
    await client.send(
        kept("one") + MADE + kept("two") + kept("known") + kept("three") + MADE + kept("end", "Connection: close")
    )
    answers = await client.all_answers()
    said = [answers.find(what) for what in (b'"one"', b"made /made", b'"two"', b"HTTP/1.1 304", b'"three"', b'"end"')]
    assert said == sorted(said)
    assert -1 not in said
    assert (answers.count(b"HTTP/1.1 "), desk.made) == (7, ["/made"] * 2)
    assert answers.count(b"connection: close\r\n") == 1


async def test_after_an_old_clients_request_the_connection_is_closed(client: Client) -> None:
    await client.send(kept("one").replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = await client.all_answers()
    assert (answer.count(b"connection: close\r\n"), answer.endswith(b'"one"')) == (1, True)


async def test_what_is_no_http_is_refused_after_it(client: Client) -> None:
    await client.send(kept("one") + b"nonsense\r\n\r\n")
    answer = await client.one_answer()
    assert answer.endswith(b'"one"')
    expect_problem(await client.all_answers(), 400, "malformed-request")


async def test_the_next_head_has_its_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    await client.send(kept("one"))
    await client.one_answer()
    await client.send(MADE[:20])
    expect_problem(await client.all_answers(), 408, "request-timeout")


async def test_a_client_that_does_not_read_is_answered_no_further(client: Client, desk: Desk) -> None:
    await client.send(kept("large") * 30)
    head = await client.reader.readuntil(b"\r\n\r\n")
    # The client's buffer and the system's hold a few answers; the server waits for the rest to be read.
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert desk.asked < 10
    for _ in range(29):
        await client.reader.readexactly(LARGE_BYTES)
        await client.reader.readuntil(b"\r\n\r\n")
    await client.reader.readexactly(LARGE_BYTES)
    assert desk.asked == 30
