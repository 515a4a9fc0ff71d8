"""A box office: where its database is, and what its schemas, locks, channels and roles there are called."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

DEFAULT_NAME = "tixxety"
# No name has a "_", so that nothing called after one box office is called as something of another; and whatever is
# called after it, an analyst's login too, fits into the 63 letters of a name in PostgreSQL.
NAME = re.compile(r"(?!(?:public|projections|pg)$)[a-z][a-z0-9]{0,13}", re.ASCII)

# What a box office has one lock each for. Earlier versions had one for each job, 3 to 6; the first keeps two versions
# from expiring at once.
POSITION_KEY = 1
MIGRATION_KEY = 2
JOBS_KEY = 3
SEAL_KEYS_KEY = 7
REBUILD_KEY = 8

# The roles of each box office: what the API acts as, the worker, and who may read the projections and nothing else.
APP_ROLE, WORKER_ROLE, ANALYST_ROLE = "app", "worker", "analyst"


@dataclass(frozen=True)
class BoxOffice:
    """One of any number in a database. Its name is 1 to 14 lower-case letters and digits, a letter first.

    The default one is called as it was before there were names. A plain URL means it wherever a box office is asked
    for. Raises ValueError for another name.
    """

    url: str = field(default="", repr=False)
    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} can't be the name of a box office")

    @classmethod
    def at(cls, place: "BoxOffice | str") -> "BoxOffice":
        """The box office itself, or the default one at a URL."""
        return cls(place) if isinstance(place, str) else place

    @property
    def history(self) -> str:
        """The schema of the history and of what is written with it."""
        return self.name

    @property
    def projections(self) -> str:
        """The schema of the tables for reading, and the channel on which the projector announces their checkpoint."""
        return f"{self._prefix}projections"

    @property
    def next_projections(self) -> str:
        """The schema in which a rebuild makes the next set of tables."""
        return f"{self.projections}_next"

    @property
    def old_projections(self) -> str:
        """The schema in which a rebuild keeps the set of tables before."""
        return f"{self.projections}_old"

    @property
    def channel(self) -> str:
        """The channel on which the function `append` announces the history's new head."""
        return f"{self._prefix}history"

    @property
    def search_path(self) -> str:
        """The `search_path` of a session, so that no statement has to name a schema."""
        return f"{self.history}, {self.projections}, public"

    @cached_property
    def roles(self) -> dict[str, str]:
        """What `APP_ROLE`, `WORKER_ROLE` and `ANALYST_ROLE` are called on the server."""
        return {role: f"{self.name}_{role}" for role in (APP_ROLE, WORKER_ROLE, ANALYST_ROLE)}

    @property
    def projector_class(self) -> int:
        """The first key of the projector's lock, whose second is the generation of the tables."""
        return self._numbers[1] + 1

    @property
    def consumer_class(self) -> int:
        """The first key of a consumer's lock, whose second is its number in the table `consumers`."""
        return self._numbers[1] + 2

    def lock(self, key: int) -> dict[str, int]:
        """The two keys of a lock that the box office has once, as parameters of a statement."""
        return {"lock_class": self._numbers[1], "lock_key": key}

    def stream_key(self, stream_id: UUID) -> int:
        """The signed 64-bit lock key of a stream; two streams that share one only wait for each other needlessly.

        It is in another space than the locks with two 32-bit keys.
        """
        low, high = stream_id.int & 0xFFFF_FFFF_FFFF_FFFF, stream_id.int >> 64
        key = low ^ high ^ self._numbers[0]
        return key - (1 << 64) if key >= 1 << 63 else key

    @cached_property
    def _numbers(self) -> tuple[int, int]:
        """What the keys of its streams differ by from the default's, and the first key of its other locks."""
        if self.name == DEFAULT_NAME:
            return 0, 7261
        digest = hashlib.sha256(self.name.encode()).digest()
        return int.from_bytes(digest[:8]), int.from_bytes(digest[8:12]) >> 2

    @property
    def _prefix(self) -> str:
        return "" if self.name == DEFAULT_NAME else f"{self.name}_"
