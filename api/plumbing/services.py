"""What every route can reach: the configuration, the database, the commands, and the checkpoint watcher."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from psycopg_pool import AsyncConnectionPool

from accounts.api_keys import KnownKeys
from accounts.passwords import Passwords
from accounts.sessions import Sessions
from accounts.tokens import Tokens
from api.http.failure_log import FailureLog
from api.http.rate_limits import RateLimits
from api.plumbing.account_quotas import LimitedCommands, Turns
from api.plumbing.kept_answers import KeptAnswers
from api.plumbing.projector_presence import ProjectorPresence
from api.plumbing.search_limits import Searches
from eventstore.box_office import BoxOffice
from eventstore.postgres.connections import Connection
from eventstore.postgres.shared_reads import SharedReads
from projections.projector.checkpoint_watcher import CheckpointWatcher


@dataclass(frozen=True)
class ApiConfig:
    """What one API process is told: `jwt_secret` has at least 32 bytes, `trusted_proxies` are addresses or networks.

    `root_path` is the prefix that a proxy takes off the path, such as `/tickets`; the server puts it into the scope.
    `pool_connections` bounds the connections for reading; searches, readiness, commands and the watcher have others.
    """

    box_office: BoxOffice | str
    jwt_secret: str
    rate_limits: bool = True
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    pool_connections: int = 8


@dataclass(frozen=True)
class Services:
    """Open from the start of the process to its end, as `app.state.services`."""

    config: ApiConfig
    pool: AsyncConnectionPool[Connection]
    health_pool: AsyncConnectionPool[Connection]
    searches: Searches
    reads: SharedReads
    read_turns: Turns
    kept_answers: KeptAnswers
    commands: LimitedCommands
    checkpoint_watcher: CheckpointWatcher
    passwords: Passwords
    tokens: Tokens
    sessions: Sessions
    api_keys: KnownKeys
    rate_limits: RateLimits
    projector_presence: ProjectorPresence
    failure_log: FailureLog


async def services_of(request: Request) -> Services:
    """The services of the process that answers this request."""
    services: Services = request.app.state.services
    return services


async def request_id_of(request: Request) -> UUID:
    """The id that this request was given on arrival; commands and problems carry it."""
    request_id: UUID = request.scope["state"]["request_id"]
    return request_id


TheServices = Annotated[Services, Depends(services_of)]
RequestId = Annotated[UUID, Depends(request_id_of)]
