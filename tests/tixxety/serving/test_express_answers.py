"""What the express lane answers is sent without the application's messages, and in no other way than anything else."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from api.express_lane import EXPRESS_LANE
from api.http.errors import NotFound
from api.http.middleware import answered
from api.http.ready_json import ReadyJson, ready_json
from tests.tixxety.serving.raw_http import Client, expect_problem, running
from tests.tixxety.waiting_for_processes import until
from tixxety.serving import http_protocol
from tixxety.serving.api_process import server
from tixxety.settings import Settings

LARGE_BYTES = 4 * 1024 * 1024


def get(path: str, *headers: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: here", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request with a body."""
    more = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


class Desk:
    """The application and its lane: has at hand what is below /kept, makes what is below /fast on the lane, and all
    else as applications do.
    """

    def __init__(self) -> None:
        self.asked = self.begun = 0
        self.express: list[tuple[str, bytes]] = []
        self.usual: list[tuple[str, bytes]] = []
        self.ended: list[str] = []

    def at_hand(self, scope: Scope) -> Response | None:
        """The name that is asked for, or very much of nothing."""
        self.asked += 1
        _, _, name = scope["path"].partition("/kept/")
        if name == "known":
            return ReadyJson(b"", [(b"etag", b'"known"')], 304)
        return ready_json(b"x" * LARGE_BYTES if name == "large" else f'"{name}"'.encode()) if name else None

    def begin(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, Response | None] | None:
        """The path and the body, after a while, or never."""
        if not scope["path"].startswith("/fast"):
            return None
        scope["state"]["request_id"] = uuid4()
        self.express.append((scope["path"], body))

        async def answer() -> Response:
            try:
                await (asyncio.Event().wait() if scope["path"] == "/fast/never" else asyncio.sleep(0))
            finally:
                self.ended.append(scope["path"])
            if scope["path"] == "/fast/refused":
                raise NotFound
            return ready_json(b'"%b %b"' % (scope["path"].encode(), body))

        scope["app"] = self
        return answered(scope, answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            scope["state"][EXPRESS_LANE] = self
            for _ in range(2):
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
            return
        self.begun += 1
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.usual.append((scope["path"], body))
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
        await client.send(get("/kept/one"))
        head, _, body = (await client.one_answer()).partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        assert (status, body) == (b"HTTP/1.1 200 OK", b'"one"')
        assert (headers.keys() - {b"date"}, headers[b"content-length"]) == (
            {b"content-length", b"content-type", b"x-content-type-options"},
            b"5",
        )
    assert desk.usual == []


async def test_what_the_lane_makes_is_sent_with_its_headers(client: Client, desk: Desk) -> None:
    await client.send(post("/fast", b"{}"))
    answer = await client.one_answer()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'\r\n\r\n"/fast {}"')
    for header in (b"x-request-id: ", b"cache-control: no-store\r\n", b"x-content-type-options: nosniff\r\n"):
        assert answer.count(header) == 1
    await client.send(get("/fast/refused"))
    refused = await client.one_answer()
    assert refused.startswith(b"HTTP/1.1 404 ")
    assert refused.count(b"x-request-id: ") == 1
    assert (desk.express, desk.usual) == ([("/fast", b"{}"), ("/fast/refused", b"")], [])


async def test_answers_come_in_the_order_of_their_requests(client: Client, desk: Desk) -> None:
    asked = [
        get("/kept/one"),
        get("/made"),
        get("/kept/two"),
        post("/fast", b"{}"),
        get("/kept/known"),
        post("/made", b"more"),
        get("/fast"),
        get("/kept/end", "Connection: close"),
    ]
    await client.send(b"".join(asked))
    answers = await client.all_answers()
    wanted = [b'"one"', b"made /made", b'"two"', b'"/fast {}"', b"HTTP/1.1 304", b"made /made", b'"/fast "', b'"end"']
    place = 0
    for one in wanted:
        place = answers.index(one, place) + len(one)
    assert (answers.count(b"HTTP/1.1 "), answers.count(b"connection: close\r\n")) == (8, 1)
    assert desk.usual == [("/made", b""), ("/made", b"more")]


@pytest.mark.parametrize("path", ["/kept/one", "/fast"])
async def test_after_an_old_clients_request_the_connection_is_closed(client: Client, path: str) -> None:
    await client.send(get(path).replace(b"HTTP/1.1", b"HTTP/1.0"))
    answer = await client.all_answers()
    assert (answer.count(b"HTTP/1.1 200 OK"), answer.count(b"connection: close\r\n")) == (1, 1)


async def test_a_body_that_does_not_come_with_its_head_takes_the_usual_way(client: Client, desk: Desk) -> None:
    request = post("/fast", b"late")
    await client.send(request[:-2])
    await asyncio.to_thread(until, lambda: desk.begun == 1)
    await client.send(request[-2:])
    assert (await client.one_answer()).endswith(b"made /fast")
    # The next one after an answer under way, whose body is not there when its turn comes.
    await client.send(get("/fast") + request[:-2])
    assert (await client.one_answer()).endswith(b'"/fast "')
    await asyncio.to_thread(until, lambda: desk.begun == 2)
    await client.send(request[-2:])
    assert (await client.one_answer()).endswith(b"made /fast")
    assert desk.usual == [("/fast", b"late")] * 2


async def test_an_upgrade_is_declined_on_the_lane_too(client: Client, desk: Desk) -> None:
    await client.send(get("/fast", "Connection: Upgrade", "Upgrade: websocket") + get("/fast") * 2)
    answers = await client.all_answers()
    assert (answers.count(b"HTTP/1.1 200 OK"), answers.count(b"connection: close\r\n")) == (1, 1)


@pytest.mark.parametrize("path", ["/kept/one", "/fast"])
async def test_what_is_no_http_is_refused_after_it(client: Client, path: str) -> None:
    await client.send(get(path) + b"nonsense\r\n\r\n")
    if path == "/kept/one":
        assert (await client.one_answer()).startswith(b"HTTP/1.1 200 OK")
        expect_problem(await client.all_answers(), 400, "malformed-request")
    else:
        # As with any request that is under way: it is answered, and then nothing else.
        assert (await client.all_answers()).count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("path", ["/made", "/fast"])
async def test_what_waits_behind_another_is_answered_before_a_target_that_is_none(
    client: Client, desk: Desk, path: str
) -> None:
    await client.send(get("/fast") + get(path) + get("http://"))
    answers = await asyncio.wait_for(client.all_answers(), 5)
    assert (answers.count(b"HTTP/1.1 "), answers.count(b"HTTP/1.1 200 OK")) == (2, 2)


async def test_a_body_that_is_broken_is_refused_and_not_begun(client: Client, desk: Desk) -> None:
    await client.send(b"POST /fast HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nnot a number\r\n")
    expect_problem(await client.all_answers(), 400, "malformed-request")
    assert (desk.express, desk.usual) == ([], [])


@pytest.mark.parametrize("path", ["/kept/one", "/fast"])
async def test_the_next_head_has_its_time(client: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    await client.send(get(path))
    await client.one_answer()
    await client.send(get(path)[:20])
    expect_problem(await client.all_answers(), 408, "request-timeout")


async def test_what_a_client_does_not_wait_for_is_given_up(client: Client, desk: Desk) -> None:
    await client.send(get("/fast/never"))
    await asyncio.to_thread(until, lambda: bool(desk.express))
    client.writer.transport.abort()
    await asyncio.to_thread(until, lambda: desk.ended == ["/fast/never"])


async def test_a_client_that_does_not_read_is_answered_no_further(client: Client, desk: Desk) -> None:
    await client.send(get("/kept/large") * 30)
    head = await client.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    # The client's buffer and the system's hold a few answers; the server waits for the rest to be read.
    assert desk.asked < 10
    for _ in range(29):
        await client.reader.readexactly(LARGE_BYTES)
        await client.reader.readuntil(b"\r\n\r\n")
    await client.reader.readexactly(LARGE_BYTES)
    assert desk.asked == 30
