"""The HTTP API put together: services for the life of the process, middleware, problems, and every router."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import Depends, FastAPI

from api import (
    accounts,
    analytics,
    audit,
    audit_trail,
    docs_pages,
    events,
    health,
    openapi,
    problem_pages,
    problems,
    reservations,
)
from api.command_limits import READS_AT_ONCE, LimitedCommands, Turns
from api.health import DATABASE_PATIENCE_SECONDS
from api.inputs import refuse_unknown_query
from api.middleware import BoundedBodies, Heads, LimitedRates, RequestIds
from api.passwords import Passwords
from api.rate_limits import RateLimits
from api.searches import Searches
from api.services import ApiConfig, Services
from api.sightings import RunnerSightings
from api.tokens import Tokens
from api.troubles import Troubles
from eventstore import connections
from eventstore.group_commit import GroupCommit
from projections.follower import Follower

__all__ = ["ApiConfig", "create_app"]


def create_app(config: ApiConfig) -> FastAPI:
    """The application to serve; connects when its lifespan begins. Raises ValueError for a short JWT secret."""
    tokens = Tokens(config.jwt_secret)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _open_services(stack, config, tokens, app.state.troubles)
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
    app.add_middleware(Heads)
    problems.install(app)
    rooms = (accounts, events, reservations, audit_trail, audit, analytics, health, problem_pages, docs_pages)
    app.state.routers = [room.router for room in rooms]
    for router in app.state.routers:
        app.include_router(router)
    openapi.install(app, app.state.routers, config.root_path)
    return app


async def _open_services(stack: AsyncExitStack, config: ApiConfig, tokens: Tokens, troubles: Troubles) -> Services:
    url = config.database_url
    health_pool = connections.pool(url, 1)
    health_pool.timeout = DATABASE_PATIENCE_SECONDS
    commands = await stack.enter_async_context(GroupCommit(url))
    passwords = Passwords()
    stack.callback(passwords.close)
    return Services(
        config=config,
        pool=await stack.enter_async_context(connections.pool(url, config.pool_connections)),
        health_pool=await stack.enter_async_context(health_pool),
        searches=await stack.enter_async_context(Searches(url)),
        reads=Turns(READS_AT_ONCE),
        commands=LimitedCommands(commands, troubles, rate_limits=config.rate_limits),
        follower=await stack.enter_async_context(Follower(url)),
        passwords=passwords,
        tokens=tokens,
        rate_limits=RateLimits(on=config.rate_limits, trusted_proxies=config.trusted_proxies),
        runner_sightings=RunnerSightings(),
        troubles=troubles,
    )
