"""Answers that everybody is given alike, kept as bytes until what they show has changed."""

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID

from api.http.ready_json import ABOUT_BODY, ReadyJson, json_headers
from eventstore.postgres.round_trips import Rows
from eventstore.postgres.shared_reads import Ask, SharedReads
from projections import checkpoint
from projections.projector.checkpoint_watcher import CheckpointWatcher

KEPT_BYTES_MAX = 32 * 1024 * 1024
# Whoever stands between, a browser or a network of caches, may keep it for as long as anybody may see what has changed.
SHARED = (b"cache-control", b"public, max-age=1"), (b"vary", b"authorization")

# In its last second it is for who has asked.
NOT_SHARED = (b"cache-control", b"no-cache"), (b"vary", b"authorization")
SHARED_SECONDS = 1.0
# The database's clock and ours, by which what changes in time is kept, go apart in longer times.
LONGEST_SECONDS = 60.0


class Rendering(NamedTuple):
    """An answer's bytes, and for how long they are true if nothing is recorded, from the moment of reading on.

    The ETag of one event's answer begins with its edition, so that `If-Match` can name that with it.
    """

    body: bytes
    true_for_seconds: float = math.inf
    edition: int | None = None


# Renders an answer from what it asks.
Render = Callable[[Ask], Awaitable[Rendering]]


class KeptAnswer(NamedTuple):
    """An answer as the projections showed it in an `epoch` of the watcher, at `position` or later.

    It is told before `ends_at_seconds`, by the event loop's clock.
    """

    body: bytes
    etag: bytes
    epoch: int
    position: int
    ends_at_seconds: float
    headers: list[tuple[bytes, bytes]]
    shared_headers: list[tuple[bytes, bytes]]

    def response(self, *, to_anybody: bool, if_none_match: str | None = None) -> ReadyJson:
        """The answer, or 304 where `if_none_match` names it; with a token it is private, and nobody keeps it."""
        headers = self.shared_headers if to_anybody else self.headers
        if if_none_match is not None and _names(if_none_match, self.etag.decode()):
            return ReadyJson(b"", headers[ABOUT_BODY:], 304)
        return ReadyJson(self.body, headers)


class KeptAnswers:
    """At most 32 MB of them, those that were asked for last.

    None is older than the projections, but for the moment that a NOTIFY takes: each batch names the events that it has
    changed. What time alone changes is told until then and no longer. While the checkpoint is not heard of, for a
    second at most, nothing is answered from here.
    """

    def __init__(self, reads: SharedReads, watcher: CheckpointWatcher) -> None:
        self._reads = reads
        self._watcher = watcher
        self._kept: OrderedDict[object, KeptAnswer] = OrderedDict()
        self._bytes = 0
        self._rendering: dict[object, asyncio.Future[None]] = {}

    async def get(self, key: object, render: Render, event_id: UUID | None = None) -> KeptAnswer:
        """The answer of this key, which shows `event_id`, or any event.

        Many who ask for what has changed wait for one rendering; when that fails, none of them waits for another's.
        Raises what `render` does.
        """
        if (answer := self.at_hand(key, event_id)) is not None:
            return answer
        if (others := self._rendering.get(key)) is not None:
            await asyncio.wait([others])
            return self.at_hand(key, event_id) or await self._rendered(render)
        done = self._rendering[key] = asyncio.get_running_loop().create_future()
        try:
            answer = await self._rendered(render)
            self._keep(key, answer)
            return answer
        finally:
            del self._rendering[key]
            done.set_result(None)

    def at_hand(self, key: object, event_id: UUID | None) -> KeptAnswer | None:
        """The same, if it need not be rendered."""
        answer = self._kept.get(key)
        now_seconds = asyncio.get_running_loop().time()
        if answer is None or now_seconds >= answer.ends_at_seconds or not self._watcher.is_current_at(now_seconds):
            return None
        changed = self._watcher.changed_events
        if answer.epoch != changed.epoch or changed.since(answer.position, event_id):
            return None
        self._kept.move_to_end(key)
        return answer

    async def _rendered(self, render: Render) -> KeptAnswer:
        epoch, positions = self._watcher.changed_events.epoch, list[int]()

        async def ask(*asked: object) -> list[Rows]:
            # The position first: what is read after it is as late or later.
            ((position,),), *rows = await self._reads.ask((checkpoint.POSITION, ()), *asked)  # type: ignore[arg-type]
            positions.append(position)
            return rows

        # Before anything is read: it ends too early by the time that this takes, never too late.
        asked_at_seconds = asyncio.get_running_loop().time()
        body, true_for_seconds, edition = await render(ask)
        digest = hashlib.sha256(body).hexdigest()[:32]
        etag = f'"{digest}"'.encode() if edition is None else f'"{edition}-{digest}"'.encode()
        headers = json_headers(body, (b"etag", etag))
        is_shared = true_for_seconds > SHARED_SECONDS
        kept_for_seconds = min(true_for_seconds - SHARED_SECONDS * is_shared, LONGEST_SECONDS)
        ends_at_seconds = asked_at_seconds + (kept_for_seconds if true_for_seconds < math.inf else math.inf)
        shared_headers = [*headers, *(SHARED if is_shared else NOT_SHARED)]
        return KeptAnswer(body, etag, epoch, min(positions), ends_at_seconds, headers, shared_headers)

    def _keep(self, key: object, answer: KeptAnswer) -> None:
        self._bytes += len(answer.body)
        if (before := self._kept.pop(key, None)) is not None:
            self._bytes -= len(before.body)
        self._kept[key] = answer
        while self._bytes > KEPT_BYTES_MAX:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.body)


def _names(if_none_match: str, etag: str) -> bool:
    """Whether the header names this ETag; weak ones compare the same (RFC 9110, 13.1.2)."""
    if if_none_match == etag:
        return True
    named = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return "*" in named or etag in named
