"""`tixxety serve`: the API alone, in one process or several."""

import socket
from typing import Annotated

import typer

from tixxety.options import Home, Host, Port, expect_database
from tixxety.serving import logs
from tixxety.serving.up import listen, serve_many
from tixxety.settings import database, read_settings


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes answer.")] = 1,
    home: Home = None,
    listener: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run the API until Ctrl-C."""
    settings = read_settings(home)
    with database(settings, brief=False) as url:
        expect_database(settings, url)
        settings.open_logins(url)
        environment = settings.serving_environment(url)
        with socket.socket(fileno=listener) if listener is not None else listen(host, port) as opened:
            if workers > 1:
                serve_many(opened, workers, environment)
            else:
                from tixxety.serving.api_process import serve_here  # only who answers needs the API's libraries

                logs.configure("api")
                serve_here(opened, environment)
