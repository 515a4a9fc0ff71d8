"""HTTP as our processes speak it: what comes before a body is bounded, and what is no HTTP gets a problem document."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import uuid_utils.compat
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.middleware import REQUEST_ID_HEADER, give_up
from api.problems import MEDIA_TYPE, document
from api.refusals import HeadersTooLarge, MalformedRequest
from domain.refusals import Refusal

# A request line with its headers, or a body's trailers, may have this many bytes, give or take a slice.
LARGEST_HEAD_BYTES = 64 * 1024
SLICE_BYTES = 4 * 1024
LAST_WORDS_SECONDS = 2
# More than that is sent before the turn of the loop is over, so that backpressure is felt.
LARGEST_WRITE_BYTES = 64 * 1024


class OneWrite:
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
        """Send what was written and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()
        self._bytes = 0


class HttpProtocol(HttpToolsProtocol):
    """One connection. It counts what arrives and is part of no body, since the last that was or that ended a head."""

    _head_bytes = 0
    _within_body = False
    _is_last = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here."""
        together: Any = OneWrite(transport, self.loop)
        super().connection_made(together)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        super().connection_lost(exc)
        if self.cycle is not None and not self.cycle.response_complete:
            give_up(self.cycle.scope)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, slice by slice, until something in it is refused."""
        for start in range(0, len(data), SLICE_BYTES):
            if self._is_last:
                return
            part = data[start : start + SLICE_BYTES]
            self._head_bytes += len(part)
            super().data_received(part)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        """A request begins to be answered."""
        super().on_headers_complete()
        self._head_bytes, self._within_body = 0, True

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the application bounds."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there; another may follow."""
        self._head_bytes, self._within_body = 0, False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser does not understand."""
        self._refuse(MalformedRequest())

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is an offer, declined by answering as usual; the parser skips a body, so nothing may follow."""
        self._answer_no_more()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer once and close; but whole requests that came before are answered first, and then nothing else."""
        if self._is_last:
            return
        is_answered = self.cycle is None or self.cycle.response_complete
        if not is_answered and not self._within_body:
            self._answer_no_more()
            return
        self._is_last = True
        if self._within_body:
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(self._answer(refusal))
        # Closed at once, on a client that still sends, the connection would be reset and the answer lost.
        self.transport.write_eof()
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.close)

    def _answer_no_more(self) -> None:
        """Close once the requests that are there have been answered."""
        self.cycle.keep_alive = False
        self._is_last = True

    def _answer(self, refusal: Refusal) -> bytes:
        request_id = uuid_utils.compat.uuid7()
        problem = document(refusal, request_id)
        body = msgspec.json.encode(problem)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (REQUEST_ID_HEADER, str(request_id).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return STATUS_LINE[problem["status"]] + lines + b"\r\n" + body
