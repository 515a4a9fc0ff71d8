"""What we use of other packages that they do not promise to keep: it is there, and the versions end where it may go."""

import inspect
import pkgutil
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.running import ROOT

HTTP = "uvicorn.protocols.http.httptools_impl:HttpToolsProtocol"
# By name: the parameters that it is called with, or called by, where we override it.
BORROWED = {
    "fastapi.dependencies.utils:get_flat_params": ["dependant"],
    "fastapi.routing:APIRoute.get_route_handler": ["self"],
    "psycopg:AsyncConnection.wait": ["self", "gen", "interval", "timeout"],
    "psycopg.waiting:wait_async": ["gen", "fileno", "interval", "timeout"],
    "uvicorn:Server.startup": ["self", "sockets"],
    f"{HTTP}.connection_made": ["self", "transport"],
    f"{HTTP}.data_received": ["self", "data"],
    f"{HTTP}.on_headers_complete": ["self"],
    f"{HTTP}.on_body": ["self", "body"],
    f"{HTTP}.on_message_complete": ["self"],
    f"{HTTP}.send_400_response": ["self", "msg"],
    f"{HTTP}._unsupported_upgrade_warning": ["self"],
}
# What uvicorn's protocol sets in itself, and ours reads or changes.
STATE = {"config", "connections", "cycle", "loop", "parser", "pipeline", "server_state", "transport"}


@pytest.mark.parametrize("name", BORROWED)
def test_a_borrowed_function_takes_what_we_give(name: str) -> None:
    assert list(inspect.signature(pkgutil.resolve_name(name)).parameters) == BORROWED[name]


def test_the_servers_protocol_has_the_state_we_read() -> None:
    protocol = pkgutil.resolve_name(HTTP)
    assert set(protocol.__init__.__code__.co_names) >= STATE
    assert pkgutil.resolve_name("uvicorn.protocols.http.httptools_impl:STATUS_LINE")[404].startswith(b"HTTP/1.1 404 ")


def test_who_lends_ends_before_its_next_minor_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {Requirement(text).name: Requirement(text).specifier for text in project["dependencies"]}
    for lender in {name.partition(":")[0].partition(".")[0] for name in BORROWED}:
        (oldest,) = [each.version for each in bounds[lender] if each.operator == ">="]
        major, minor = (int(number) for number in oldest.split(".")[:2])
        assert f"<{major}.{minor + 1}" in {str(each) for each in bounds[lender]}, lender
