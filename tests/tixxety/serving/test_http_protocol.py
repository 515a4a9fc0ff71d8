"""A server on a socket answers what is no HTTP, or has no end, with a problem document; and what is, as ever."""

import asyncio
from collections.abc import AsyncIterator
from itertools import repeat
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.tixxety.serving.raw_http import CHUNKED, HEAD, Client, expect_problem, serving
from tixxety.serving.http_protocol import LARGEST_HEAD_BYTES
from tixxety.serving.joined_writes import JoinedWrites

ENDLESS_BYTES = 4 * 1024 * 1024


async def tell_length(scope: Scope, receive: Receive, send: Send) -> None:
    """The application: answers with the length of the body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A connection to a real server with our protocol."""
    async with serving(tell_length) as connect:
        yield await connect()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (HEAD + b"X-Endless: ", b"x" * 1024),
        (HEAD, b"X-Many: y\r\n" * 100),
        (b"GET /" + b"x" * 1024, b"y" * 1024),
        (CHUNKED + b"1\r\nx\r\n0\r\nX-Trailer: ", b"x" * 1024),
    ],
    ids=["one header", "many headers", "a path", "a trailer"],
)
async def test_what_comes_beside_a_body_has_a_bound(client: Client, start: bytes, piece: bytes) -> None:
    await client.send(start, *repeat(piece, ENDLESS_BYTES // len(piece)))
    expect_problem(await client.all_answers(), 431, "headers-too-large")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        HEAD + b"Content-Length: many\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"X-Nothing: a\0b\r\n\r\n",
        CHUNKED + b"not a number\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        HEAD + b"Host: elsewhere\r\n\r\n",
        HEAD + b"Authorization: Bearer one\r\nAuthorization: Bearer two\r\n\r\n",
        HEAD + b"Content-Type: application/json\r\ncontent-type: text/plain\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        HEAD.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
        HEAD.replace(b"HTTP/1.1", b"HTTP/0.9") + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=repr,
)
async def test_what_is_no_http_is_a_malformed_request(client: Client, nonsense: bytes) -> None:
    await client.send(nonsense)
    expect_problem(await client.all_answers(), 400, "malformed-request")


async def test_requests_up_to_the_bound_are_answered_one_after_the_other(client: Client) -> None:
    long = b"X-Long: " + b"x" * (LARGEST_HEAD_BYTES - 100) + b"\r\n"
    body = b"z" * 200_000
    request = HEAD + long + b"Content-Length: 200000\r\n\r\n" + body
    chunked = CHUNKED + b"".join(repeat(b"1;for=fun\r\nz\r\n", 20_000)) + b"0\r\n\r\n"
    last = HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nend"
    await client.send(request + request + chunked + last)
    answers = await client.all_answers()
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert answers.count(b"200000 bytes") == 2
    assert answers.endswith(b"3 bytes")


async def test_a_whole_request_is_answered_before_nonsense_that_follows_it(client: Client) -> None:
    await client.send(HEAD + b"Content-Length: 3\r\n\r\nwell and then some")
    answer = await client.all_answers()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"3 bytes")


async def test_an_upgrade_is_declined_by_answering_as_usual(client: Client) -> None:
    smuggled = HEAD + b"X-Long: " + b"x" * 8_000 + b"\r\n\r\n"
    await client.send(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + smuggled * 2)
    answers = await client.all_answers()
    assert (answers.count(b"HTTP/1.1"), answers.count(b"HTTP/1.1 200 OK")) == (1, 1)


class Sent:
    """Stands for a socket: what is sent through it, and in how many parts."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.said: list[str] = []

    def write(self, data: bytes) -> None:
        self.parts.append(data)

    def write_eof(self) -> None:
        self.said.append("eof")

    def close(self) -> None:
        self.said.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.said

    def get_write_buffer_size(self) -> int:
        return 0


async def test_what_is_written_in_one_turn_is_sent_together() -> None:
    sent: Any = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert sent.parts == []
    await asyncio.sleep(0)
    assert sent.parts == [b"head body"]


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_what_was_written_is_sent_before_the_end(end: str) -> None:
    sent: Any = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    transport.write(b"last words")
    getattr(transport, end)()
    assert (sent.parts, len(sent.said)) == ([b"last words"], 1)


async def test_an_endless_answer_does_not_pile_up() -> None:
    sent: Any = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    for _ in range(100):
        transport.write(b"x" * 10_000)
    assert sum(map(len, sent.parts)) > 900_000
    await asyncio.sleep(0)
    assert b"".join(sent.parts) == b"x" * 1_000_000


async def test_nothing_is_sent_on_a_connection_that_is_lost() -> None:
    sent: Any = Sent()
    transport = JoinedWrites(sent, asyncio.get_running_loop())
    transport.write(b"too late")
    sent.said.append("closed")
    await asyncio.sleep(0)
    assert sent.parts == []
