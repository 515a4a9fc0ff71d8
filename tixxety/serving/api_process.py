"""The API as a process: the application from the settings, and the server around it."""

from __future__ import annotations

import functools
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from api.app import ApiConfig
from api.app import create_app as create_api
from api.express_lane import ExpressLane
from api.http.cross_origin import for_origins
from tixxety.errors import Failure, WrongSetting
from tixxety.processes.child_process import spare_collector
from tixxety.processes.stop_signals import watched_signals
from tixxety.serving.http_connections import Connections
from tixxety.serving.http_protocol import HttpProtocol
from tixxety.settings import Settings, read_settings

GRACEFUL_SECONDS = 5
# Longer than load balancers keep a connection that nobody uses, so that it is they who close it.
KEEP_ALIVE_SECONDS = 75


def create_app() -> ASGIApp:
    """The application, from the environment alone. Raises WrongSetting."""
    settings = read_settings()
    if settings.database_url is None or settings.jwt_secret is None:
        raise WrongSetting("DATABASE_URL and JWT_SECRET must be set, or the API started with `tixxety serve`.")
    config = ApiConfig(
        box_office=settings.database_url,
        jwt_secret=settings.jwt_secret.get_secret_value(),
        rate_limits=settings.rate_limits is not False,
        trusted_proxies=tuple(str(network) for network in settings.trusted_proxies),
        root_path=settings.root_path,
    )
    return for_origins(ExpressLane(create_api(config)), settings.cors_origins)


def serve_here(
    listener: socket.socket, environment: dict[str, str], factory: str = "tixxety.serving.api_process:create_app"
) -> None:
    """Answer on the socket until a stop signal, then let requests finish for at most 5 seconds.

    `environment` is what `create_app` reads its settings from. Raises Failure where the application can't start.
    """
    os.environ.update(environment)
    serving = server(read_settings(), factory)
    # It takes SIGINT and SIGTERM itself while it runs, and sends them again once it has stopped; that is no failure.
    for number in watched_signals():
        signal.signal(number, serving.handle_exit)
    try:
        serving.run(sockets=[listener])
    except SystemExit:
        raise Failure("The API could not start; its log says why.") from None


def server(settings: Settings, factory: str | Callable[[], ASGIApp]) -> Server:
    """What answers with the application that the factory makes; not yet started."""
    connections = Connections.by_descriptors(settings.trusted_proxies)
    protocol: Any = functools.partial(HttpProtocol, connections=connections)
    config = uvicorn.Config(
        factory,
        factory=True,
        loop="uvloop",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # The application decides itself whose X-Forwarded-For it believes.
        proxy_headers=False,
        server_header=False,
        headers=[("X-Content-Type-Options", "nosniff")],
        root_path=settings.root_path,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    return Server(config)


class Server(uvicorn.Server):
    """Uvicorn's, which spares the garbage collector once it has started."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then let the collector look at what comes from now on."""
        await super().startup(sockets)
        spare_collector()
