"""`tixxety serve`: what it needs, and several processes that answer on one port."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.conftest import fresh_database
from tests.running import free_port, http, running, until_ready
from tests.tixxety.waiting_for_processes import all_gone, family, until

SECRET = "a secret of thirty-two bytes, yes"


@contextmanager
def serve_two(database_url: str, log: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`serve --workers 2`, ready to answer, and its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tixxety", "serve", "--workers", "2", "--port", str(port)]
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "TIXXETY_NO_VENV": "1"}
    with running(command, environment, log) as process:
        until_ready(f"http://127.0.0.1:{port}/health/live", (process, log))
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def two_processes(
    server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psutil.Process, str]]:
    """The same for all tests that leave the parent alive."""
    with (
        fresh_database(server_url, template) as database_url,
        serve_two(database_url, tmp_path_factory.mktemp("serve") / "serve.log") as served,
    ):
        yield served


def test_several_processes_answer_on_one_port_and_the_dead_come_back(
    two_processes: tuple[psutil.Process, str],
) -> None:
    parent, url = two_processes
    first = until(lambda: parent.children() if len(parent.children()) == 2 else [])
    first[0].kill()
    until(lambda: len(parent.children()) == 2 and first[0] not in parent.children())
    assert http().get(f"{url}/health/live").status_code == 200


def test_the_server_does_not_name_itself(two_processes: tuple[psutil.Process, str]) -> None:
    _, url = two_processes
    assert "server" not in http().get(f"{url}/health/live").headers


def test_what_is_no_http_gets_a_problem_document(two_processes: tuple[psutil.Process, str]) -> None:
    _, url = two_processes
    with socket.create_connection(("127.0.0.1", httpx2.URL(url).port or 0), timeout=30) as client:
        client.sendall(b"GET / HTTP/1.1\r\nContent-Length: many\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"/problems/malformed-request" in answer


def test_several_processes_end_with_a_parent_that_is_killed(two_processes: tuple[psutil.Process, str]) -> None:
    """The last one that uses them."""
    parent, _ = two_processes
    processes = until(lambda: whole if len(whole := family(parent.pid)) == 3 else [])
    parent.kill()
    until(lambda: all_gone(processes))
