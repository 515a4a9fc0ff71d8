"""Stands between a client and PostgreSQL, reads along, and fails where a test says: around COMMIT, or altogether."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

READ_BYTES = 1 << 20


class Hold:
    """A message that is on its way and goes no further until it is let go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.let_go = asyncio.Event()


class FaultProxy:
    """Forwards connections to the server of `database_url`; `url` is what its clients connect to.

    Each of the faults below happens once, to the next COMMIT of whichever connection sends it.
    """

    def __init__(self, database_url: str) -> None:
        self._parts = urlsplit(database_url)
        self._open: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self._before_commit: list[Hold | None] = []
        self._after_commit: list[Hold | None] = []
        self._port = 0
        self._passable = asyncio.Event()
        self._passable.set()
        self.commits = 0

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(self, *_: object) -> None:
        for hold in (*self._before_commit, *self._after_commit):
            if hold:
                hold.let_go.set()
        self.end_black_hole()
        await self.go_away()

    @property
    def url(self) -> str:
        login, at, _ = self._parts.netloc.rpartition("@")
        place = f"{login}{at}127.0.0.1:{self._port}"
        return urlunsplit(self._parts._replace(netloc=place, query="sslmode=disable&gssencmode=disable"))

    def cut_before_commit(self) -> None:
        """Cut the connection when the COMMIT arrives here: the server never sees it."""
        self._before_commit.append(None)

    def cut_after_commit(self) -> None:
        """Cut the connection when the server has committed: the client never hears of it."""
        self._after_commit.append(None)

    def hold_before_commit(self) -> Hold:
        """Keep the COMMIT here."""
        self._before_commit.append(hold := Hold())
        return hold

    def hold_after_commit(self) -> Hold:
        """Keep the server's answer to the COMMIT here."""
        self._after_commit.append(hold := Hold())
        return hold

    def begin_black_hole(self) -> None:
        """Go on accepting connections and all that is sent, and pass nothing on, nor that either side has gone."""
        self._passable.clear()

    def end_black_hole(self) -> None:
        """Pass on what was kept, and all that comes."""
        self._passable.set()

    async def go_away(self) -> None:
        """Cut every connection and refuse new ones."""
        self._listening.close()
        for writer, ended in tuple(self._open.items()):
            writer.transport.abort()
            await ended.wait()

    async def come_back(self) -> None:
        """Accept connections, at the same address as before."""
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=READ_BYTES)
        self._port = self._listening.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = self._open[writer] = asyncio.Event()
        with contextlib.suppress(OSError, EOFError):
            startup = await reader.readexactly(4)  # the first message alone has no type
            startup += await reader.readexactly(struct.unpack("!i", startup)[0] - 4)
            await self._passable.wait()
            server_reader, server_writer = await asyncio.open_connection(
                self._parts.hostname, self._parts.port or 5432, limit=READ_BYTES
            )
            server_writer.write(startup)
            relays = {
                asyncio.create_task(self._relay(reader, server_writer, commit_seen(), self._before_commit)),
                asyncio.create_task(self._relay(server_reader, writer, committed, self._after_commit)),
            }
            _, others = await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
            await self._passable.wait()
            for other in others:
                other.cancel()
            server_writer.transport.abort()
        writer.transport.abort()
        del self._open[writer]
        ended.set()

    async def _relay(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        is_commit: Callable[[bytes, bytes], bool],
        faults: list[Hold | None],
    ) -> None:
        """Forward message by message until either side ends or a fault cuts the connection."""
        with contextlib.suppress(OSError, EOFError):
            async for kind, body in frames(source):
                if is_commit(kind, body):
                    self.commits += faults is self._before_commit
                    if faults:
                        if (hold := faults.pop(0)) is None:
                            return
                        hold.arrived.set()
                        await hold.let_go.wait()
                await self._passable.wait()
                target.write(kind + struct.pack("!i", len(body) + 4) + body)
                await target.drain()


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Every message: its type and body."""
    while kind := await reader.read(1):
        (size,) = struct.unpack("!i", await reader.readexactly(4))
        yield kind, await reader.readexactly(size - 4)


def commit_seen() -> Callable[[bytes, bytes], bool]:
    """Tells a client's COMMIT, also where it was prepared: then only the statement's name is sent."""
    prepared: set[bytes] = set()

    def is_commit(kind: bytes, body: bytes) -> bool:
        name, _, rest = body.partition(b"\0")
        if kind == b"P":
            (prepared.add if rest.startswith(b"COMMIT\0") else prepared.discard)(name)
        return (kind == b"B" and rest.partition(b"\0")[0] in prepared) or (kind == b"Q" and name == b"COMMIT")

    return is_commit


def committed(kind: bytes, body: bytes) -> bool:
    """Tells the server's word that it has committed."""
    return kind == b"C" and body == b"COMMIT\0"
