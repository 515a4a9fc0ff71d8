"""The server as the commands start it: what it adds to every answer, and how many connections it takes."""

import resource
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.tixxety.serving.raw_http import running
from tixxety.serving.api_process import server
from tixxety.serving.http_connections import DESCRIPTORS_KEPT, MOST_CONNECTIONS, SPARE_CONNECTIONS, Connections
from tixxety.settings import Settings


async def tell_path(scope: Scope, receive: Receive, send: Send) -> None:
    """The application: answers with its prefix and path; has nothing to do at start and end."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
        return
    await PlainTextResponse(f"{scope['root_path']} {scope['path']}")(scope, receive, send)


async def test_every_answer_forbids_guessing_its_type() -> None:
    async with running(server(Settings(), lambda: tell_path)) as connect:
        for request in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n"):
            client = await connect()
            await client.send(request)
            assert b"x-content-type-options: nosniff\r\n" in await client.one_answer()


async def test_a_prefix_is_part_of_the_path_and_of_problem_types() -> None:
    async with running(server(Settings(root_path="/tickets"), lambda: tell_path)) as connect:
        client = await connect()
        await client.send(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.one_answer()).endswith(b"/tickets /tickets/events")
        await client.send(b"nonsense\r\n\r\n")
        assert b'"/tickets/problems/malformed-request"' in await client.one_answer()


@pytest.fixture
def descriptors() -> Iterator[tuple[int, int]]:
    """The limits of open files, which are put back afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_connections_leave_descriptors_for_all_else(descriptors: tuple[int, int]) -> None:
    hard = descriptors[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(512, DESCRIPTORS_KEPT + SPARE_CONNECTIONS), hard))
    connections = Connections.by_descriptors()
    raised, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert connections.most == raised - DESCRIPTORS_KEPT <= MOST_CONNECTIONS
    assert connections.most_of_address == connections.most // 4
