"""HTTP as our processes speak it: bounded in size and time; what is no HTTP gets a problem document."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.express_lane import EXPRESS_LANE, ExpressLane
from api.http.errors import HeadersTooLarge, MalformedRequest, RequestTimeout
from api.http.middleware import give_up
from domain.errors import Refusal
from eventstore.errors import Failure
from tixxety.serving import joined_writes
from tixxety.serving.answer_bytes import CLOSING, head_of, last_answer
from tixxety.serving.http_connections import Connections

# A request line with its headers, or a body's trailers, may have this many bytes, give or take a slice.
LARGEST_HEAD_BYTES = 64 * 1024
SLICE_BYTES = 4 * 1024
# From the first byte of a request, or from connecting, to the end of its headers.
HEAD_SECONDS = 15
HEAD_SECONDS_WHEN_SPARE = 2
LAST_WORDS_SECONDS = 2
# So long a client that sends no more is taken to wait for what it reads; then it has left.
LEFT_SECONDS = 1
# So many requests may wait on one connection for the answer to the one before.
PIPELINED_MAX = 32
GIVEN_ONCE = (b"host", b"authorization", b"content-type", b"content-length", b"transfer-encoding")
# Answered even where there is no room for anything else.
HEALTH = b"/health/"


class HttpProtocol(HttpToolsProtocol):
    """One connection. It counts what arrives and is part of no body, since the last that was or that ended a head."""

    _head_bytes = 0
    _within_body = False
    _parsing = False
    _is_last = False
    _is_behind = False
    _objection: Refusal | Failure | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, connections: Connections, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._all = connections
        self._lane: ExpressLane | None = self.app_state.get(EXPRESS_LANE)
        # The request whose head was parsed last, until it is known whether its body comes with it.
        self._parsed: tuple[Any, Any] | None = None
        # The last look that came alone: its bytes, what they say, and who answers it. The same is not parsed again.
        self._look: tuple[bytes, Any, Any] = b"", None, None
        # What is begun, and answered with what is at hand, within one call.
        self._begun = 0
        self._looked: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here."""
        together: Any = joined_writes.JoinedWrites(transport, self.loop)
        super().connection_made(together)
        self._admission = self._all.admit(self.client[0] if self.client else None)
        self._objection = self._admission.refusal
        self._head_timer = self.loop.call_later(
            HEAD_SECONDS if self._objection is None else HEAD_SECONDS_WHEN_SPARE, self._head_is_late
        )
        if self._objection is not None and self._admission.unwanted:
            self._refuse(self._objection)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was left."""
        super().connection_lost(exc)
        self._all.leave(self._admission)
        self._all.is_read(self)
        self._unset_keepalive_if_required()
        self._stop_head_timer()
        self._stop_unread_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            give_up(self.cycle.scope)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, slice by slice, until something in it is refused, unless it is the last look again."""
        is_idle, (request, cycle, at_hand) = self._is_idle(), self._look
        if is_idle and data == request and (answer := at_hand(cycle.scope)) is not None:
            self._send(cycle, answer)
            return
        self._unset_keepalive_if_required()
        self._begun, self._looked = 0, None
        for start in range(0, len(data), SLICE_BYTES):
            if self._is_last:
                return
            part = data[start : start + SLICE_BYTES]
            self._head_bytes += len(part)
            self._parse(part)
            if self._head_bytes > LARGEST_HEAD_BYTES:
                self._refuse(HeadersTooLarge())
        if self._looked is not None and is_idle and self._begun == 1 and self._is_idle() and len(data) <= SLICE_BYTES:
            self._look = data, *self._looked
        if self._parsed is not None and not self._is_last:
            super()._start_asgi_task(*self._parsed)
        self._parsed = None
        if self._head_timer is None and (self._head_bytes or self._within_body) and self._is_answered():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more. It still gets the answers to what is whole, to a mere look only for a moment.

        One that has left altogether looks the same from here: a write is answered in vain, a look is not gone on with.
        """
        if self._is_answered() or self._within_body:
            self.transport.close()
            return False
        self._answer_no_more()
        if not self.pipeline and self.cycle.scope["method"] in ("GET", "HEAD"):
            self.loop.call_later(LEFT_SECONDS, self._leave)
        return True

    def on_headers_complete(self) -> None:
        """A request begins to be answered, or is refused by what its head says."""
        self._stop_head_timer()
        self._objection = self._head_objection()
        if self._objection is not None:
            raise ValueError("nothing more is parsed")
        self._begun += 1
        self._parsing = True
        try:
            super().on_headers_complete()
        finally:
            self._parsing = False
        self._head_bytes, self._within_body = 0, True
        if self._admission.refusal is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of the body, which the application bounds."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of a request is there; another may follow."""
        self._head_bytes, self._within_body = 0, False
        super().on_message_complete()
        if self._parsed is not None:
            cycle, app = self._parsed
            self._parsed = None
            self._start_asgi_task(cycle, app)
        if len(self.pipeline) >= PIPELINED_MAX and not self._is_last:
            self._answer_no_more()

    def on_response_complete(self) -> None:
        """An answer is out; the next one is not made before the client has read so far."""
        self._is_behind = self.flow.write_paused and not self.transport.is_closing()
        if not self._is_behind:
            super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self.flow.pause_reading()
        self._all.is_unread(self, self.transport.get_write_buffer_size())
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(joined_writes.UNREAD_SECONDS, self.abort)

    def resume_writing(self) -> None:
        """The client has read nearly everything."""
        self._stop_unread_timer()
        self._all.is_read(self)
        super().resume_writing()
        self.flow.resume_reading()
        if self._is_behind:
            self.on_response_complete()

    def abort(self) -> None:
        """End the connection at once, whatever was not sent."""
        self.transport.abort()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Answer by the express lane, or let the application begin; neither before the client has read so far."""
        if self._is_behind:
            self.pipeline.appendleft((cycle, app))
        elif self._lane is not None and self._parsing:
            self._parsed = cycle, app
        elif self._lane is None or cycle.more_body:
            super()._start_asgi_task(cycle, app)
        elif (answer := self._lane.at_hand(cycle.scope)) is not None:
            self._looked = cycle, self._lane.at_hand
            self._send(cycle, answer)
        elif (answering := self._lane.begin(cycle.scope, bytes(cycle.body))) is not None:
            task = self.loop.create_task(self._answer_by_lane(cycle, answering))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        else:
            super()._start_asgi_task(cycle, app)

    async def _answer_by_lane(self, cycle: Any, answering: Coroutine[Any, Any, Response | None]) -> None:
        try:
            answer = await answering
        except BaseException:
            self.transport.close()
            raise
        if self.flow.write_paused:
            await self.flow.drain()
        if answer is not None and not cycle.disconnected:
            self._send(cycle, answer)

    def _send(self, cycle: Any, answer: Response) -> None:
        """Send an answer whose body is there, as the application would have it sent."""
        cycle.response_started = cycle.response_complete = True
        headers = [*self.server_state.default_headers, *answer.raw_headers]
        if not cycle.keep_alive:
            headers.append(CLOSING)
        self.transport.write(head_of(answer.status_code, headers) + answer.body)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _parse(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            # An offer, declined by answering as usual; the parser skips a body, so nothing may follow.
            self._answer_no_more()
        except httptools.HttpParserError:
            self._refuse(self._objection or MalformedRequest())

    def _head_objection(self) -> Refusal | Failure | None:
        """Why this request is not even begun: what two readers could take for different requests, or no room."""
        given, version = dict(self.headers), self.parser.get_http_version()
        if len(given) < len(self.headers):
            names = [name for name, _ in self.headers]
            if any(names.count(name) > 1 for name in GIVEN_ONCE):
                return MalformedRequest()
        if version not in ("1.1", "1.0") or (b"host" not in given and version == "1.1"):
            return MalformedRequest()
        coding = given.get(b"transfer-encoding")
        if coding is not None and (coding.strip().lower() != b"chunked" or version == "1.0"):
            return MalformedRequest()
        return None if self.url.startswith(HEALTH) else self._admission.refusal

    def _is_idle(self) -> bool:
        """Whether a request begins with the next byte, and may be answered at once."""
        is_between = not (self._head_bytes or self._within_body or self._is_last or self.pipeline)
        return is_between and not self._is_behind and not self.flow.write_paused and self._is_answered()

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(RequestTimeout(HEAD_SECONDS))
        else:
            self.transport.close()

    def _leave(self) -> None:
        if not self.cycle.response_started:
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _refuse(self, refusal: Refusal | Failure) -> None:
        """Answer once and close; but whole requests that came before are answered first, and then nothing else."""
        if self._is_last:
            return
        if not self._is_answered() and not self._within_body:
            self._answer_no_more()
            return
        self._is_last = True
        if self._within_body:
            if self.cycle.response_started or self.pipeline:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(last_answer(refusal, self.root_path, self.server_state.default_headers))
        # Closed at once, on a client that still sends, the connection would be reset and the answer lost.
        self.transport.write_eof()
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.close)

    def _answer_no_more(self) -> None:
        """Close once the requests that are there have been answered."""
        self.cycle.keep_alive = False
        self._is_last = True
