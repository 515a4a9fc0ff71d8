"""What fails in this process, told in the log once and not at each request; and whether the disk was full."""

import secrets
from time import monotonic

import structlog
from psycopg.errors import DiskFull as NoRoom

from eventstore.errors import DiskFull, Failure
from eventstore.postgres.connections import Connection

# What was told fails on silently; after so long without it, it is told anew.
QUIET_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 2.0
# More than a page has left: only a disk with room takes it. It is taken back at once.
PROBE = "INSERT INTO audit_reads (request_id, account_id, what) VALUES (gen_random_uuid(), gen_random_uuid(), %(what)s)"
PROBE_BYTES = 48 * 1024

log = structlog.get_logger(__name__)


class FailureLog:
    """One per process."""

    def __init__(self) -> None:
        self.disk_is_full = False
        self._seen_at_seconds: dict[str, float] = {}
        self._looked_at_seconds = float("-inf")

    def note(self, failure: Failure) -> None:
        """A request failed with this: the first one in a while is logged."""
        now = monotonic()
        if now - self._seen_at_seconds.get(failure.code, float("-inf")) > QUIET_SECONDS:
            log.error("requests fail", code=failure.code, detail=str(failure))
        self._seen_at_seconds[failure.code] = now
        if isinstance(failure, DiskFull):
            self.disk_is_full = True

    def written(self) -> None:
        """Something was written: the disk has room."""
        if self.disk_is_full:
            self.disk_is_full = False
            self._seen_at_seconds.pop(DiskFull.code, None)
            log.warning("the disk of the database has room again")

    async def look_at_disk(self, connection: Connection) -> None:
        """Where it was full, see whether it still is, every few seconds: with no traffic nobody else would notice."""
        if self.disk_is_full and monotonic() - self._looked_at_seconds > LOOK_AGAIN_SECONDS:
            self._looked_at_seconds = monotonic()
            try:
                async with connection.transaction(force_rollback=True):
                    await connection.execute(PROBE, {"what": secrets.token_urlsafe(PROBE_BYTES)})
            except NoRoom:
                return
            self.written()
