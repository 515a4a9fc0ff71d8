"""Nobody on a socket stops the others: slow heads, clients that don't read, pipeline or say no more, and crowds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from tests.box_office import until
from tests.tixxety.serving.raw_http import HEAD, Client, Connect, expect_problem, serving
from tixxety.serving import http_connections, http_protocol, joined_writes
from tixxety.serving.http_connections import Connections

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n"
LARGE_BYTES = 16 * 1024 * 1024


class Desk:
    """The application: tells how it was asked, at length where asked for it; counts what it began."""

    def __init__(self) -> None:
        self.begun = 0

    async def has_begun(self) -> bool:
        """Whether there was a request."""
        return self.begun > 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        request = Request(scope, receive)
        body = await request.body()
        if scope["path"] == "/slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.3)
        if scope["path"] == "/large":
            await PlainTextResponse(b"x" * LARGE_BYTES)(scope, receive, send)
        elif scope["path"] == "/endless":
            await StreamingResponse(endless())(scope, receive, send)
        else:
            await PlainTextResponse(f"{scope['method']} {scope['path']} {len(body)}")(scope, receive, send)


async def endless() -> AsyncIterator[bytes]:
    """More than anybody reads."""
    while True:
        yield b"x" * 65_536
        await asyncio.sleep(0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of time that a test can wait for."""
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(joined_writes, "UNREAD_SECONDS", 0.5)


async def trickle(client: Client, parts: bytes) -> None:
    """Send a byte fifty times a second, until the server has enough."""
    for byte in parts:
        if client.reader.at_eof() or client.writer.is_closing():
            return
        await client.send(bytes([byte]))
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("impatient")
async def test_a_silent_connection_is_closed() -> None:
    async with serving(Desk()) as connect:
        assert await (await connect()).all_answers() == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("before", [b"", GET], ids=["first request", "later request"])
async def test_a_head_has_its_time_however_it_is_stretched(before: bytes) -> None:
    async with serving(Desk()) as connect:
        client = await connect()
        await client.send(before)
        if before:
            await client.one_answer()
        sending = asyncio.create_task(trickle(client, HEAD + b"X-More: y\r\n" * 100))
        expect_problem(await client.all_answers(), 408, "request-timeout")
        await sending


@pytest.mark.usefixtures("impatient")
async def test_what_still_comes_of_a_refused_body_has_its_time_too() -> None:
    async with serving(Refusing()) as connect:
        client = await connect()
        await client.send(HEAD + b"Content-Length: 1000000\r\n\r\n")
        await client.one_answer()
        sending = asyncio.create_task(trickle(client, b"x" * 1_000))
        assert await client.all_answers() == b""
        await sending


class Refusing:
    """An application that answers without having read."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("no", 413)(scope, receive, send)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", [b"/large", b"/endless"])
async def test_who_does_not_read_is_left(path: bytes) -> None:
    async with serving(Desk()) as connect:
        client = await connect()
        client.writer.transport.pause_reading()
        await client.send(GET.replace(b" / ", b" " + path + b" "))
        await until_closed(client)
        client.writer.transport.resume_reading()
        assert len(await client.all_answers()) < LARGE_BYTES


async def until_closed(client: Client) -> None:
    """Wait until writing fails: the server has ended the connection and nobody has read what it had sent."""
    async with asyncio.timeout(30):
        while not client.writer.is_closing():
            await client.send(b"y")
            await asyncio.sleep(0.05)


async def test_answers_that_are_read_slowly_are_made_one_at_a_time() -> None:
    desk = Desk()
    async with serving(desk) as connect:
        client = await connect()
        client.writer.transport.pause_reading()
        await client.send(GET.replace(b" / ", b" /large ") * 5)
        await until(desk.has_begun)
        other = await connect()
        for _ in range(20):
            await other.send(GET)
            await other.one_answer()
        assert desk.begun - 20 == 1
        client.writer.transport.resume_reading()
        await client.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await client.all_answers()).count(b"HTTP/1.1 200 OK") == 6


async def test_what_all_together_do_not_read_has_a_bound() -> None:
    small = Connections(100, 100, unread_bytes_max=2 * LARGE_BYTES)
    async with serving(Desk(), small) as connect:
        clients = [await connect() for _ in range(4)]
        for client in clients:
            client.writer.transport.pause_reading()
            await client.send(GET.replace(b" / ", b" /large "))
        await until_closed(clients[0])
        for client in clients[1:]:
            client.writer.transport.resume_reading()
        assert len(await clients[-1].one_answer()) > LARGE_BYTES


async def test_pipelined_requests_have_a_bound() -> None:
    desk = Desk()
    async with serving(desk) as connect:
        client = await connect()
        await client.send(GET.replace(b" / ", b" /slow ") + GET * 1_000)
        answers = await client.all_answers()
    assert answers.count(b"HTTP/1.1 200 OK") == desk.begun <= http_protocol.PIPELINED_MAX + 1
    assert answers.count(b"connection: close") == 1


@pytest.mark.parametrize("method", [b"POST", b"GET"])
async def test_a_client_that_says_no_more_gets_its_answer(method: bytes) -> None:
    async with serving(Desk()) as connect:
        client = await connect()
        await client.send(HEAD.replace(b"POST /", method + b" /slow") + b"Content-Length: 2\r\n\r\n{}")
        client.say_no_more()
        assert (await client.all_answers()).endswith(method + b" /slow 2")


async def test_whole_requests_are_answered_when_nothing_follows_the_last() -> None:
    async with serving(Desk()) as connect:
        client = await connect()
        await client.send(HEAD.replace(b" /", b" /slow") + b"\r\n" + GET * 3 + b"POST / HT")
        client.say_no_more()
        assert (await client.all_answers()).count(b"HTTP/1.1 200 OK") == 4


async def test_a_body_without_its_end_is_given_up() -> None:
    async with serving(Desk()) as connect:
        client = await connect()
        await client.send(HEAD + b"Content-Length: 20\r\n\r\n{}")
        client.say_no_more()
        assert await client.all_answers() == b""


async def test_a_look_of_a_client_that_has_left_is_told_to_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "LEFT_SECONDS", 0)
    left = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def watch(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        loop.call_soon_threadsafe(left.set)

    async with serving(watch) as connect:
        client = await connect()
        await client.send(GET)
        client.writer.close()
        await asyncio.wait_for(left.wait(), 30)


async def test_one_address_has_a_share_of_the_connections_and_is_told_so() -> None:
    with structlog.testing.capture_logs() as told:
        await fill_the_share_of_an_address()
    assert [(line["event"], line["address"]) for line in told] == [("connections refused", "127.0.0.2")]


async def fill_the_share_of_an_address() -> None:
    """Two connections of two, three that are refused, one of another address, and one where there is room again."""
    async with serving(Desk(), Connections(10, 2)) as connect:
        first, second = [await connect("127.0.0.2") for _ in range(2)]
        for client in (first, second):
            await client.send(GET)
            await client.one_answer()
        for _ in range(3):
            third = await connect("127.0.0.2")
            await third.send(GET)
            expect_problem(await third.all_answers(), 429, "too-many-connections")
        other = await connect("127.0.0.3")
        await other.send(GET)
        assert b"200 OK" in await other.one_answer()
        first.writer.close()
        await again(connect, "127.0.0.2")


async def again(connect: Connect, source: str) -> None:
    """Connect until there is room again."""
    async with asyncio.timeout(30):
        while True:
            client = await connect(source)
            await client.send(GET)
            if b"200 OK" in await client.one_answer():
                return


async def test_a_trusted_proxy_stands_for_many_and_counts_in_all_only() -> None:
    async with serving(Desk(), Connections(3, 1, [ip_network("127.0.0.2")])) as connect:
        for expected in (b"200 OK", b"200 OK", b"200 OK", b"503 Service"):
            client = await connect("127.0.0.2")
            await client.send(GET)
            assert expected in await client.one_answer()


async def test_health_is_answered_where_there_is_no_room_for_more() -> None:
    async with serving(Desk(), Connections(1, 1)) as connect:
        first = await connect()
        await first.send(GET)
        await first.one_answer()
        prober, buyer = await connect(), await connect()
        await prober.send(HEALTH + GET)
        answer = await prober.all_answers()
        assert answer.count(b"HTTP/1.1") == 1
        assert b"200 OK" in answer
        await buyer.send(GET)
        expect_problem(await buyer.all_answers(), 503, "overloaded")


async def test_spare_connections_have_a_bound_too() -> None:
    async with serving(Desk(), Connections(0, 1)) as connect:
        spare = [await connect() for _ in range(http_connections.SPARE_CONNECTIONS)]
        unwanted = await connect()
        expect_problem(await unwanted.all_answers(), 503, "overloaded")
        await spare[0].send(HEALTH)
        assert b"200 OK" in await spare[0].all_answers()
