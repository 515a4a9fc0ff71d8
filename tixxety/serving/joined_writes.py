"""What is written to a socket within one turn of the event loop, sent together."""

import asyncio
from typing import Any

# More than that is sent before the turn of the loop is over, so that backpressure is felt.
LARGEST_WRITE_BYTES = 64 * 1024
# From the moment that a client does not read fast enough to the moment that it has caught up.
UNREAD_SECONDS = 30


class JoinedWrites:
    """A transport that sends what is written in one turn of the event loop together: a head and its body at once."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Keep it until the turn is over."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > LARGEST_WRITE_BYTES:
            self._flush()

    def write_eof(self) -> None:
        """Nothing more comes after what was written."""
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what was written and close; a client that does not read it is left after 30 s."""
        self._flush()
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(UNREAD_SECONDS, self._transport.abort)

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()
        self._bytes = 0
