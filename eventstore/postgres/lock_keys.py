"""Every advisory lock there is, so that no two mean different things by one key.

Streams use the form with one 64-bit key; all else the form with two 32-bit keys, which is a space of its own.
"""

from uuid import UUID

LOCK_CLASS = 7261

POSITION_KEY = 1
MIGRATION_KEY = 2
# Earlier versions had a lock for each job, 3 to 6; the first keeps two versions from expiring at once.
JOBS_KEY = 3
SEAL_KEYS_KEY = 7
REBUILD_KEY = 8

RUNNER_CLASS = 7262


def stream_key(stream_id: UUID) -> int:
    """The signed 64-bit lock key of a stream; two streams that share one only wait for each other needlessly."""
    low, high = stream_id.int & 0xFFFF_FFFF_FFFF_FFFF, stream_id.int >> 64
    key = low ^ high
    return key - (1 << 64) if key >= 1 << 63 else key
