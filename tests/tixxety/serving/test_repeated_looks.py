"""A look that comes again in the same bytes is not parsed again, and is answered like any other, as things are now."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from api.express_lane import EXPRESS_LANE
from api.http.ready_json import ready_json
from tixxety.serving.api_process import server
from tixxety.serving.http_protocol import HttpProtocol
from tixxety.settings import Settings

LOOK = b"GET /kept/one HTTP/1.1\r\nHost: here\r\n\r\n"
OTHER_LOOK = b"GET /kept/two HTTP/1.1\r\nHost: here\r\n\r\n"
MADE = b"GET /made HTTP/1.1\r\nHost: here\r\n\r\n"
LOOK_AS_BODY = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(LOOK) + LOOK
# Answered before its body has come.
EARLY = LOOK_AS_BODY.replace(b"/echo", b"/early")
LOOK_AS_HEADERS = b"GET /made HTTP/1.1\r\nX-Look: " + LOOK
LAST_LOOK = b"GET /kept/one HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
OLD_LOOK = b"GET /kept/one HTTP/1.0\r\nHost: here\r\n\r\n"
NO_HTTP = b"\x00\x01\r\n\r\n"
REQUESTS = (LOOK, OTHER_LOOK, MADE, LOOK_AS_BODY, LOOK_AS_HEADERS, LAST_LOOK, OLD_LOOK, NO_HTTP)
LENGTH, REQUEST_ID = re.compile(rb"content-length: (\d+)"), re.compile(rb'"request_id":"[^"]+"')
# More than any of the answers here takes.
TURNS = 100


class Desk:
    """An application whose lane has at hand what is below /kept, in the edition of the moment."""

    def __init__(self) -> None:
        self.edition = 1
        self.is_at_hand = True
        self.looks = 0

    def at_hand(self, scope: Scope) -> Response | None:
        """Which one is asked for, and the edition."""
        _, _, name = scope["path"].partition("/kept/")
        self.looks += bool(name)
        return ready_json(f'"{name} {self.edition}"'.encode()) if name and self.is_at_hand else None

    def begin(self, scope: Scope, body: bytes) -> Coroutine[Any, Any, Response | None] | None:
        """Nothing takes the lane."""
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", scope["path"] != "/early"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await asyncio.sleep(0)
        await PlainTextResponse(f"made {scope['path']} {len(body)}")(scope, receive, send)


class Wire(asyncio.Transport):
    """What the server writes to one client."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 8000), "peername": ("127.0.0.1", 9)})
        self.written, self.closed = bytearray(), False

    def write(self, data: Any) -> None:
        """Keep it."""
        if not self.closed:
            self.written += data

    def write_eof(self) -> None:
        """Nothing more is written."""

    def close(self) -> None:
        """The connection ends."""
        self.closed = True

    def abort(self) -> None:
        """The connection ends at once."""
        self.closed = True

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self.closed

    def pause_reading(self) -> None:
        """Nothing more is sent before it is asked for."""

    def resume_reading(self) -> None:
        """More may be sent."""

    def get_write_buffer_size(self) -> int:
        """All is read at once."""
        return 0


class Connection:
    """One client's connection to the desk, as the server's configuration makes it."""

    def __init__(self, desk: Desk) -> None:
        config = server(Settings(), lambda: cast(Any, desk)).config
        config.load()
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        make: Callable[..., HttpProtocol] = cast(Any, config.http_protocol_class)
        self.wire = Wire()
        self.protocol = make(config=config, server_state=state, app_state={EXPRESS_LANE: desk})
        self.protocol.connection_made(self.wire)

    async def send(self, *parts: bytes) -> None:
        """Each part arrives for itself, as soon as the one before it was taken."""
        for part in parts:
            if not self.wire.closed:
                self.protocol.data_received(part)

    async def answers(self) -> list[bytes]:
        """Status and body of each answer, once there are no more."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        answers, left = [], bytes(self.wire.written)
        while left:
            head, _, left = left.partition(b"\r\n\r\n")
            length = int(cast(re.Match[bytes], LENGTH.search(head))[1])
            answers.append(head.partition(b"\r\n")[0] + b" " + REQUEST_ID.sub(b"", left[:length]))
            left = left[length:]
        return answers


async def test_the_same_look_is_answered_with_what_is_there_now() -> None:
    desk = Desk()
    connection = Connection(desk)
    await connection.send(LOOK, LOOK)
    desk.edition = 2
    await connection.send(LOOK)
    desk.is_at_hand = False
    await connection.send(LOOK)
    told = [b'"one 1"', b'"one 1"', b'"one 2"', b"made /kept/one 0"]
    assert await connection.answers() == [b"HTTP/1.1 200 OK " + body for body in told]


async def test_it_need_not_come_right_after_the_first() -> None:
    desk = Desk()
    connection = Connection(desk)
    await connection.send(LOOK, MADE)
    assert len(await connection.answers()) == 2
    parser, connection.protocol.parser = connection.protocol.parser, None
    await connection.send(LOOK)
    connection.protocol.parser = parser
    await connection.send(OTHER_LOOK, MADE)
    told = [b'"one 1"', b"made /made 0", b'"one 1"', b'"two 1"', b"made /made 0"]
    assert await connection.answers() == [b"HTTP/1.1 200 OK " + body for body in told]


async def test_two_at_once_are_two() -> None:
    connection = Connection(Desk())
    await connection.send(LOOK + LOOK, LOOK + LOOK, LOOK + OTHER_LOOK, LOOK + OTHER_LOOK)
    told = [answer[-6:-3] for answer in await connection.answers()]
    assert told == [b"one"] * 5 + [b"two"] + [b"one", b"two"]


async def test_the_same_bytes_elsewhere_are_no_look() -> None:
    """As a body, as the end of a head, behind a request under way, behind the last one."""
    connection = Connection(Desk())
    await connection.send(LOOK, LOOK_AS_BODY[: -len(LOOK)], LOOK, LOOK_AS_HEADERS[: -len(LOOK)], LOOK, MADE, LOOK)
    told = [b'"one 1"', b"made /echo %d" % len(LOOK), b"made /made 0", b"made /made 0", b'"one 1"']
    assert await connection.answers() == [b"HTTP/1.1 200 OK " + body for body in told]
    connection = Connection(Desk())
    await connection.send(LOOK, EARLY[: -len(LOOK)])
    assert len(await connection.answers()) == 2
    await connection.send(LOOK, LOOK)
    assert [answer[16:] for answer in await connection.answers()] == [b'"one 1"', b"made /early 0", b'"one 1"']
    connection = Connection(Desk())
    await connection.send(LOOK, LAST_LOOK, LOOK, LAST_LOOK)
    assert len(await connection.answers()) == 2


@settings(deadline=None)
@given(asked=st.lists(st.sampled_from(REQUESTS), max_size=8), data=st.data())
def test_however_the_bytes_arrive_the_answers_are_the_same(asked: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(asked)
    ends = [len(b"".join(asked[: count + 1])) for count in range(len(asked))]
    cuts = data.draw(st.sets(st.sampled_from(ends) | st.integers(0, len(sent)))) if sent else set()
    places = [0, *sorted(cuts), len(sent)]
    parts = [sent[start:end] for start, end in pairwise(places) if start < end]

    async def answered(parts: list[bytes]) -> list[bytes]:
        connection = Connection(Desk())
        await connection.send(*parts)
        return await connection.answers()

    async def both() -> None:
        assert await answered(parts) == await answered([sent[place : place + 1] for place in range(len(sent))])

    asyncio.run(both())
