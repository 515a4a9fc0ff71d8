"""Tokens: only ours, whole and in time, of an account that lives."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import jwt
import pytest

from accounts.errors import NotAuthenticated
from accounts.tokens import Tokens
from api.app import ApiConfig, create_app
from tests.api.conftest import JWT_SECRET, LogIn, problem_of

ACCOUNT_ID = "019a0000-0000-7000-8000-000000000001"


def claims(**changed: Any) -> dict[str, Any]:
    """What our own tokens say, with changes; a claim set to None is left out."""
    usual = {
        "iss": "tixxety",
        "aud": "tixxety",
        "sub": ACCOUNT_ID,
        "exp": datetime.now(UTC) + timedelta(minutes=5),
        "roles": [],
    }
    return {name: value for name, value in (usual | changed).items() if value is not None}


def signed(key: str = JWT_SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm)


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def unsigned(algorithm: str) -> str:
    """A token of an admin that nobody signed."""
    forged = claims(roles=["admin"]) | {"exp": 4_000_000_000}
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(forged)}."


def with_other_roles() -> str:
    head, _, signature = signed().split(".")
    return f"{head}.{part(claims(roles=['admin']) | {'exp': 4_000_000_000})}.{signature}"


BAD_TOKENS = {
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "alg HS256 without signature": lambda: unsigned("HS256"),
    "changed roles": with_other_roles,
    "foreign key": lambda: signed("another secret of more than thirty-two bytes"),
    "empty key": lambda: signed(" " * 32),
    "another algorithm with our key": lambda: signed(JWT_SECRET * 3, "HS512"),
    "HS384 with our key": lambda: signed(JWT_SECRET * 2, "HS384"),
    "expired": lambda: signed(exp=datetime.now(UTC) - timedelta(seconds=1)),
    "not yet valid": lambda: signed(nbf=datetime.now(UTC) + timedelta(minutes=1)),
    "issued in a minute": lambda: signed(iat=datetime.now(UTC) + timedelta(minutes=1)),
    "without end": lambda: signed(exp=None),
    "end is no number": lambda: signed(exp="soon"),
    "wrong issuer": lambda: signed(iss="somebody"),
    "without issuer": lambda: signed(iss=None),
    "wrong audience": lambda: signed(aud="another-service"),
    "without audience": lambda: signed(aud=None),
    "without subject": lambda: signed(sub=None),
    "subject is no id": lambda: signed(sub="ada"),
    "session is no id": lambda: signed(sid="here"),
    "session is a number": lambda: signed(sid=7),
    "cut off": lambda: signed()[:-1],
    "one part": lambda: "abc",
    "empty parts": lambda: "..",
    "not base64": lambda: "a.b.c",
    "not ASCII": lambda: "ünïcödé",
    "very long": lambda: "a" * 20_000,
    "nothing": lambda: "",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_a_token_that_is_not_ours_whole_and_in_time_is_refused(name: str) -> None:
    with pytest.raises(NotAuthenticated):
        Tokens(JWT_SECRET).check(BAD_TOKENS[name]())


def test_our_own_token_says_who_and_whatever_else_it_says_gives_no_right() -> None:
    tokens = Tokens(JWT_SECRET)
    for token in (tokens.make(UUID(ACCOUNT_ID), ["admin"]), signed(), signed(roles=None), signed(roles=7)):
        account = tokens.check(token)
        assert account == (UUID(ACCOUNT_ID), None, None)
        assert not account.actor.is_admin


@pytest.mark.parametrize("claim", ["iat", "nbf"])
def test_a_token_may_come_from_a_clock_that_is_some_seconds_ahead(claim: str) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=20)
    assert str(Tokens(JWT_SECRET).check(signed(**{claim: ahead})).account_id) == ACCOUNT_ID


async def test_a_bad_token_is_not_authenticated_over_http(client: httpx2.AsyncClient) -> None:
    for token in BAD_TOKENS.values():
        for path in ("/auth/me", "/events", "/events/for-you", "/reservations"):
            answered = await client.get(path, headers={"Authorization": f"Bearer {token()}".encode()})
            problem_of(answered, 401, "not-authenticated")
            assert answered.headers["www-authenticate"] == "Bearer"


async def test_without_a_bearer_token_nobody_is_authenticated(client: httpx2.AsyncClient) -> None:
    for header in (None, "", "Bearer", "Basic YWRhOnNlY3JldA==", "Token x", "bearer\tx"):
        headers = {} if header is None else {"Authorization": header}
        for method in ("GET", "DELETE"):
            problem_of(await client.request(method, "/auth/me", headers=headers), 401, "not-authenticated")


async def test_a_well_signed_token_of_an_account_that_never_was_is_not_authenticated(
    client: httpx2.AsyncClient,
) -> None:
    headers = {"Authorization": f"Bearer {signed(sub=str(uuid4()))}"}
    problem_of(await client.get("/auth/me", headers=headers), 401, "not-authenticated")


async def test_who_is_not_logged_in_learns_nothing_about_the_body(client: httpx2.AsyncClient) -> None:
    problem_of(await client.post("/reservations", json={"quantity": "many"}), 401, "not-authenticated")


async def test_reading_ends_with_the_account(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    paths = ("/events", "/events/for-you", "/reservations", "/auth/me")
    for path in paths:
        assert (await client.get(path, headers=ada.headers)).status_code == 200
    await client.delete("/auth/me", headers=ada.headers)
    for path in paths:
        problem_of(await client.get(path, headers=ada.headers), 401, "not-authenticated")


async def test_commands_end_with_the_account(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    await client.delete("/auth/me", headers=ada.headers)
    event = {
        "title": "Concert",
        "starts_at": "2150-01-01T19:00:00Z",
        "ends_at": "2150-01-01T22:00:00Z",
        "total_tickets": 2,
    }
    problem_of(await client.post("/events", json=event, headers=ada.headers), 401, "not-authenticated")


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_short_secret_is_refused_before_anything_starts(secret: str) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        create_app(ApiConfig(box_office="postgresql://nowhere", jwt_secret=secret))


def test_a_secret_counts_in_bytes() -> None:
    assert Tokens("ü" * 16).check(Tokens("ü" * 16).make(UUID(ACCOUNT_ID), []))


async def test_a_token_that_was_remembered_still_ends_in_time() -> None:
    tokens = Tokens(JWT_SECRET)
    token = signed(exp=datetime.now(UTC) + timedelta(seconds=2))
    assert str(tokens.check(token).account_id) == ACCOUNT_ID
    for _ in range(500):
        try:
            tokens.check(token)
        except NotAuthenticated:
            break
        await asyncio.sleep(0.01)
    with pytest.raises(NotAuthenticated):
        tokens.check(token)


def test_a_token_that_was_remembered_vouches_for_no_other() -> None:
    tokens = Tokens(JWT_SECRET)
    head, body, signature = signed().split(".")
    assert tokens.check(f"{head}.{body}.{signature}")
    with pytest.raises(NotAuthenticated):
        tokens.check(f"{head}.{part(claims(roles=['admin']) | {'exp': 4_000_000_000})}.{signature}")
