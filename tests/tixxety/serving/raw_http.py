"""A server with our protocol on a real socket and the production's event loop, and clients that send bytes."""

import asyncio
import contextlib
import functools
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tests.tixxety.waiting_for_processes import until
from tixxety.serving.http_connections import Connections
from tixxety.serving.http_protocol import HttpProtocol

SECONDS_MAX = 30
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Send the parts, and no more once the server has closed."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(SECONDS_MAX):
                for part in parts:
                    self.writer.write(part)
                    await self.writer.drain()

    def say_no_more(self) -> None:
        """Close the way to the server; the way back stays open."""
        self.writer.write_eof()

    async def one_answer(self) -> bytes:
        """Head and body of the next answer, which tells its length."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS_MAX)
        lines = head.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        return head + await asyncio.wait_for(self.reader.readexactly(length), SECONDS_MAX)

    async def all_answers(self) -> bytes:
        """All that the server sends until it closes."""
        received = bytearray()
        try:
            while data := await asyncio.wait_for(self.reader.read(65_536), SECONDS_MAX):
                received += data
        except ConnectionError:
            pass
        return bytes(received)


Connect = Callable[..., Awaitable[Client]]


@asynccontextmanager
async def serving(app: ASGIApp, connections: Connections | None = None) -> AsyncIterator[Connect]:
    """Serve an application by our protocol."""
    protocol: Any = functools.partial(HttpProtocol, connections=connections or Connections(1_000, 1_000))
    config = uvicorn.Config(app, http=protocol, ws="none", loop="uvloop", lifespan="off", log_config=None)
    async with running(uvicorn.Server(config)) as connect:
        yield connect


@asynccontextmanager
async def running(server: uvicorn.Server) -> AsyncIterator[Connect]:
    """Run a server in a thread; what is given makes a `Client`, from the address `source` if there is one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started or not thread.is_alive())
        clients: list[Client] = []

        async def connect(source: str | None = None) -> Client:
            local = (source, 0) if source else None
            streams = await asyncio.open_connection(*listener.getsockname(), limit=2**20, local_addr=local)
            clients.append(Client(*streams))
            return clients[-1]

        try:
            yield connect
        finally:
            for client in clients:
                client.writer.close()
            server.should_exit = True
            await asyncio.to_thread(thread.join, SECONDS_MAX)
            assert not thread.is_alive()


def expect_problem(answer: bytes, status: int, code: str) -> None:
    """One problem document with its id, and word that nothing follows."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    problem = json.loads(body)
    assert int(status_line.split()[1]) == problem["status"] == status
    assert problem["type"] == f"/problems/{code}"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert int(headers["content-length"]) == len(body)
