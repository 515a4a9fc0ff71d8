"""Bodies that are too large, no JSON, or no text to store: a problem each, over a real socket where it matters."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from api.express_lane import ExpressLane
from api.http import middleware
from api.http.middleware import LARGEST_BODY_BYTES
from tests.api.conftest import PASSWORD, problem_of
from tests.running import NO_CERTIFICATES

ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}
JSON = {"Content-Type": "application/json"}
TEN_MEGABYTES = 10 * 1024 * 1024


class Served(NamedTuple):
    """The application behind a socket; `stop` waits for no request."""

    address: tuple[str, int]
    stop: Callable[[], Awaitable[None]]


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[Served]:
    """The application, served as in production."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        config = uvicorn.Config(ExpressLane(app), lifespan="off", log_config=None, timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))

        async def stop() -> None:
            server.should_exit = True
            await serving

        yield Served(listening.getsockname(), stop)
        await stop()


@pytest.fixture
def address(served: Served) -> tuple[str, int]:
    """Where the application listens."""
    return served.address


@pytest.fixture
async def remote(address: tuple[str, int]) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks HTTP to the application over a socket."""
    url = f"http://{address[0]}:{address[1]}"
    async with httpx2.AsyncClient(base_url=url, timeout=30, verify=NO_CERTIFICATES) as client:
        yield client


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536):
        yield b"a" * 65_536


def registration_of(size: int) -> bytes:
    """A registration of exactly `size` bytes, most of them blanks between its fields."""
    body = json.dumps(ADA | {"email": f"{uuid4()}@example.com"}).encode()
    return body[:-1] + b" " * (size - len(body)) + b"}"


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/health/live", "/nothing"])
async def test_ten_megabytes_are_refused_wherever_they_are_sent(remote: httpx2.AsyncClient, path: str) -> None:
    problem = problem_of(await remote.post(path, content=b"a" * TEN_MEGABYTES), 413, "body-too-large")
    assert problem["limit_bytes"] == LARGEST_BODY_BYTES


async def test_a_body_that_hides_its_size_is_counted_while_it_is_read(remote: httpx2.AsyncClient) -> None:
    problem_of(await remote.post("/auth/register", content=in_chunks(TEN_MEGABYTES)), 413, "body-too-large")
    assert (await remote.post("/auth/register", json=ADA)).status_code == 201


async def test_an_uploaded_file_is_counted_too(remote: httpx2.AsyncClient) -> None:
    form = {"username": (None, "ada@example.com"), "password": ("p", b"x" * TEN_MEGABYTES)}
    problem_of(await remote.post("/auth/login", files=form), 413, "body-too-large")


async def test_a_body_is_refused_before_it_has_all_been_sent(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /auth/register HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 413 ")
    writer.close()


@pytest.mark.parametrize("path", ["/auth/register", "/reservations"])
@pytest.mark.parametrize("begun", [b"", b"{"])
async def test_a_body_that_does_not_arrive_in_time_is_refused(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch, path: str, begun: bytes
) -> None:
    assert middleware.LONGEST_BODY_SECONDS == 30
    monkeypatch.setattr(middleware, "LONGEST_BODY_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n%s" % (path.encode(), begun))
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"/problems/request-timeout"' in answer
    writer.close()


@pytest.mark.parametrize("path", ["/auth/register", "/reservations"])
async def test_a_request_that_the_stopping_server_cancels_is_answered(
    served: Served, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    reader, writer = await asyncio.open_connection(*served.address)
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" % path.encode()
    writer.write(head)
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 100 ")
    await served.stop()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert b"HTTP/1.1 503 " in answer
    assert b'"/problems/overloaded"' in answer
    assert not any(record.exc_info for record in caplog.records)
    writer.close()


async def test_a_body_of_just_the_largest_size_is_read(client: httpx2.AsyncClient) -> None:
    too_large = registration_of(LARGEST_BODY_BYTES + 1)
    problem_of(await client.post("/auth/register", content=too_large, headers=JSON), 413, "body-too-large")
    largest = registration_of(LARGEST_BODY_BYTES)
    assert (await client.post("/auth/register", content=largest, headers=JSON)).status_code == 201


async def test_a_client_that_leaves_while_sending_breaks_nothing(
    address: tuple[str, int], remote: httpx2.AsyncClient
) -> None:
    _, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /auth/register HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await remote.get("/health/live")).status_code == 200


NO_JSON = [
    b"{",
    b"{'email': 1}",
    b'{"email": }',
    b'{"email": "a"} {"email": "b"}',
    b'{"email": "\xff"}',
    b'{"email": "\x00"}',
    b"[" * 100_000,
    b'{"a":' * 40_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"name": ' + b"9" * 5_000 + b"}",
    b"NaN",
    b'{"name": {"first": [NaN]}}',
    b'{"name": Infinity}',
    b'{"name": -Infinity}',
]


async def test_what_is_no_json_is_malformed(client: httpx2.AsyncClient) -> None:
    for body in NO_JSON:
        problem_of(await client.post("/auth/register", content=body, headers=JSON), 400, "malformed-json")


async def test_json_that_is_no_object_is_invalid(client: httpx2.AsyncClient) -> None:
    for body in (b"null", b"[]", b"7", b'"text"', b"true", b"[{}]", b""):
        problem = problem_of(await client.post("/auth/register", content=body, headers=JSON), 422, "invalid-request")
        assert problem["errors"][0]["path"] == "body", body


async def test_a_body_that_is_not_declared_as_json_is_of_an_unsupported_kind(client: httpx2.AsyncClient) -> None:
    others = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "json", "/")
    for headers in ({}, *({"Content-Type": other} for other in others)):
        answered = await client.post("/auth/register", content=json.dumps(ADA).encode(), headers=headers)
        problem = problem_of(answered, 415, "unsupported-media-type")
        assert problem["media_type"] == "application/json"
        assert problem["detail"].endswith("Send it with Content-Type: application/json.")
    for declared in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.tixxety+json"):
        headers = {"Content-Type": declared}
        problem_of(await client.post("/auth/register", content=b"{", headers=headers), 400, "malformed-json")


@pytest.mark.parametrize("path", ["/auth/register", "/auth/login", "/reservations", "/events"])
async def test_a_compressed_body_is_of_an_unsupported_kind(client: httpx2.AsyncClient, path: str) -> None:
    for coding in ("gzip", "deflate", "br", "identity, gzip"):
        headers = JSON | {"Content-Encoding": coding}
        answered = await client.post(path, content=gzip.compress(json.dumps(ADA).encode()), headers=headers)
        problem_of(answered, 415, "unsupported-media-type")
        assert answered.headers["accept-encoding"] == "identity"
    answered = await client.post("/auth/register", content=b"{", headers=JSON | {"Content-Encoding": "identity"})
    problem_of(answered, 400, "malformed-json")


async def test_a_name_that_is_given_twice_is_malformed_at_any_depth(client: httpx2.AsyncClient) -> None:
    for more in ('"name": "Bob"', '"n\\u0061me": "Bob"', '"deep": [{"a": 1, "a": 1}]'):
        body = json.dumps(ADA)[:-1] + f", {more}}}"
        answered = await client.post("/auth/register", content=body.encode(), headers=JSON)
        problem_of(answered, 400, "malformed-json")


async def test_a_form_that_is_none_is_invalid(client: httpx2.AsyncClient) -> None:
    content = b'--y\r\nContent-Disposition: form-data; name="username"\r\n\r\nada'
    form = "multipart/form-data"
    for content_type in (form, f"{form}; boundary=x", f"{form}; boundary=x; charset=no"):
        answered = await client.post("/auth/login", content=content, headers={"Content-Type": content_type})
        problem = problem_of(answered, 422, "invalid-request")
        assert problem["detail"].startswith("Correct what errors names")
    for other in ("application/json", "text/plain"):
        answered = await client.post("/auth/login", content=content, headers={"Content-Type": other})
        problem = problem_of(answered, 415, "unsupported-media-type")
        assert problem["media_type"] == "application/x-www-form-urlencoded"


async def test_a_form_in_a_strange_alphabet_breaks_nothing(client: httpx2.AsyncClient) -> None:
    for charset in ("utf-16-le", "utf-7", "raw_unicode_escape", "unicode_escape", "idna", "rot13", "hex"):
        content = (
            b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n\\ud800\xd8\x00\r\n'
            b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\n\\udfff\xff\r\n--x--\r\n'
        )
        headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        answered = await client.post("/auth/login", content=content, headers=headers)
        assert answered.status_code in (401, 422), (charset, answered.text)


HOSTILE = {
    "NUL": r'"a\u0000bcdefgh"',
    "a high surrogate": r'"abcdefgh\ud800"',
    "a low surrogate": r'"\udc00abcdefgh"',
    "surrogates in the wrong order": r'"abcdefgh\udc00\ud800"',
    "a huge number": "1" + "0" * 4_000,
    "a huge float": "1e999",
    "a boolean": "true",
    "an object": '{"a": {"b": []}}',
    "nested lists": "[" * 400 + "]" * 400,
    "long text": '"' + "x" * 200_000 + '"',
}


@pytest.mark.parametrize("field", [*ADA, "city"])
async def test_hostile_values_are_refused_by_field(client: httpx2.AsyncClient, field: str) -> None:
    for value in HOSTILE.values():
        fields = {name: json.dumps(usual) for name, usual in (ADA | {"city": "Graz"}).items()} | {field: value}
        body = "{" + ", ".join(f'"{name}": {one}' for name, one in fields.items()) + "}"
        answered = await client.post("/auth/register", content=body.encode(), headers=JSON)
        problem = problem_of(answered, 422, "invalid-request")
        assert {error["path"] for error in problem["errors"]} == {field}, value[:20]
        assert len(answered.content) < 2_000


async def test_hostile_names_of_fields_are_refused(client: httpx2.AsyncClient) -> None:
    for name in (r"\ud800", r"a\u0000b", "x" * 100_000, "", "a.b", "🎫"):
        body = json.dumps(ADA)[:-1] + f', "{name}": 1}}'
        answered = await client.post("/auth/register", content=body.encode(), headers=JSON)
        problem = problem_of(answered, 422, "invalid-request")
        assert len(problem["errors"]) == 1
        assert len(answered.content) < 2_000


async def test_thousands_of_errors_are_cut_short(client: httpx2.AsyncClient) -> None:
    answered = await client.post("/auth/register", json=ADA | {f"field {n}": n for n in range(5_000)})
    assert len(problem_of(answered, 422, "invalid-request")["errors"]) == 50
