"""The HTTP API put together: services for the life of the process, middleware, problems, and every router."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import Depends, FastAPI

from accounts.api_keys import KnownKeys
from accounts.passwords import Passwords
from accounts.sessions import Sessions
from accounts.tokens import Tokens
from api import health
from api.accounts import api_key_routes, password_routes, session_routes
from api.accounts import routes as accounts
from api.analytics import routes as analytics
from api.audit import account_routes, domain_event_routes, event_story_routes, refused_attempt_and_read_routes
from api.audit import routes as audit
from api.docs import browser_pages, openapi, problem_pages
from api.events import reservation_routes, stock_routes
from api.events import routes as events
from api.health import DATABASE_PATIENCE_SECONDS
from api.http import problems
from api.http.failure_log import FailureLog
from api.http.inputs import refuse_unknown_query
from api.http.middleware import BoundedBodies, HeadAsGet, LimitedRates, RequestIds
from api.http.rate_limits import RateLimits
from api.plumbing.account_quotas import READS_AT_ONCE, LimitedCommands, Turns
from api.plumbing.kept_answers import KeptAnswers
from api.plumbing.projector_presence import ProjectorPresence
from api.plumbing.search_limits import Searches
from api.plumbing.services import ApiConfig, Services
from api.reservations import routes as reservations
from eventstore.postgres import connections
from eventstore.postgres.shared_reads import SharedReads
from eventstore.writing.group_commit import GroupCommit
from projections.projector.checkpoint_watcher import CheckpointWatcher

__all__ = ["ApiConfig", "create_app"]


def create_app(config: ApiConfig) -> FastAPI:
    """The application to serve; connects when its lifespan begins. Raises ValueError for a short JWT secret."""
    tokens = Tokens(config.jwt_secret)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _open_services(stack, config, tokens, app.state.failure_log)
            yield

    app = FastAPI(
        **openapi.ABOUT,
        lifespan=lifespan,
        dependencies=[Depends(refuse_unknown_query)],
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=openapi.operation_id,
    )
    app.add_middleware(BoundedBodies)
    app.add_middleware(LimitedRates)
    app.add_middleware(RequestIds)
    app.add_middleware(HeadAsGet)
    problems.install(app)
    rooms = (
        accounts,
        session_routes,
        password_routes,
        api_key_routes,
        events,
        stock_routes,
        reservation_routes,
        reservations,
        account_routes,
        domain_event_routes,
        event_story_routes,
        refused_attempt_and_read_routes,
        audit,
        analytics,
        health,
        problem_pages,
        browser_pages,
    )
    app.state.routers = [room.router for room in rooms]
    for router in app.state.routers:
        app.include_router(router)
    openapi.install(app, app.state.routers, config.root_path)
    return app


async def _open_services(stack: AsyncExitStack, config: ApiConfig, tokens: Tokens, failure_log: FailureLog) -> Services:
    office = config.box_office
    health_pool = connections.pool(office, 1)
    health_pool.timeout = DATABASE_PATIENCE_SECONDS
    commands = await stack.enter_async_context(GroupCommit(office))
    reads = await stack.enter_async_context(SharedReads(office))
    watcher = await stack.enter_async_context(CheckpointWatcher(office))
    pool = await stack.enter_async_context(connections.pool(office, config.pool_connections))
    passwords = Passwords()
    stack.callback(passwords.close)
    return Services(
        config=config,
        pool=pool,
        health_pool=await stack.enter_async_context(health_pool),
        searches=await stack.enter_async_context(Searches(office)),
        reads=reads,
        read_turns=Turns(READS_AT_ONCE),
        kept_answers=KeptAnswers(reads, watcher),
        commands=LimitedCommands(commands, failure_log, rate_limits=config.rate_limits),
        checkpoint_watcher=watcher,
        passwords=passwords,
        tokens=tokens,
        sessions=Sessions(config.jwt_secret),
        api_keys=await stack.enter_async_context(KnownKeys(reads, pool)),
        rate_limits=RateLimits(on=config.rate_limits, trusted_proxies=config.trusted_proxies),
        projector_presence=ProjectorPresence(),
        failure_log=failure_log,
    )
