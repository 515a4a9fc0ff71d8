"""Accounts over HTTP: register, log in, look at oneself, leave; and roles granted beside it."""

import asyncio
import os
import sys
from contextlib import ExitStack
from typing import Any
from unicodedata import normalize
from uuid import uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from accounts.errors import UnknownAccount, UnknownRole
from accounts.passwords import ARGON2ID, HASHES_WAITING, NICENESS
from accounts.roles import actor_of, grant, revoke
from accounts.weak_passwords import SHORTEST_PASSWORD, common_passwords
from domain.errors import AccountClosed
from tests.api.conftest import PASSWORD, LogIn, log_in, problem_of

ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_registering_answers_with_the_account_and_no_password(client: httpx2.AsyncClient) -> None:
    place = {"street": "Ring 1", "city": "Graz", "state": "Styria", "country": "Austria"}
    answered = await client.post("/auth/register", json=ADA | place)
    assert answered.status_code == 201
    account = answered.json()
    assert {"email": "ada@example.com", "name": "Ada", "roles": [], **place}.items() <= account.items()
    assert account.keys() == {"id", "email", "name", *place, "roles", "created_at"}
    assert account["created_at"].endswith("Z")


async def test_what_is_stored_of_a_password_is_an_argon2id_hash(client: httpx2.AsyncClient, database_url: str) -> None:
    await client.post("/auth/register", json=ADA)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT password_hash, a::text FROM tixxety.accounts a").fetchone()
    assert row is not None
    assert row[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in row[1]


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.COM", "  Ada@example.com "])
async def test_an_email_is_taken_however_it_is_spelled(client: httpx2.AsyncClient, email: str) -> None:
    await client.post("/auth/register", json=ADA)
    problem_of(await client.post("/auth/register", json=ADA | {"email": email}), 409, "email-taken")


async def test_names_and_places_are_trimmed(client: httpx2.AsyncClient) -> None:
    answered = await client.post("/auth/register", json=ADA | {"name": "  Ada \n", "city": " Graz "})
    assert (answered.json()["name"], answered.json()["city"]) == ("Ada", "Graz")


UNUSABLE = [
    ({"email": "nobody"}, "email"),
    ({"email": "a b@example.com"}, "email"),
    ({"email": 7}, "email"),
    ({"email": "a\0@example.com"}, "email"),
    ({"email": "a" * 300 + "@example.com"}, "email"),
    ({"password": "short 7"}, "password"),
    ({"password": "x" * 129}, "password"),
    ({"password": "12345678\0"}, "password"),
    ({"password": None}, "password"),
    ({"password": "Password1"}, "password"),
    ({"password": "qwertyuiop"}, "password"),
    ({"password": "ａｄｍｉｎｉｓｔｒａｔｏｒ"}, "password"),
    ({"password": "ADA@example.com"}, "password"),
    ({"password": "example.com"}, "password"),
    ({"email": "ada.lovelace@example.com", "password": "Ada.Lovelace"}, "password"),
    ({"email": "ada.lovelace@example.com", "password": "1815 ADA.lovelace!"}, "password"),
    ({"email": "ada+shop@example.com", "password": "my name is Ada"}, "password"),
    ({"email": "ada+shop@example.com", "password": "Ada+Shop"}, "password"),
    ({"password": "zzzzzzzzz"}, "password"),
    ({"password": "ada1ada1ada1ad"}, "password"),
    ({"password": "9" * 128}, "password"),
    ({"password": "cdefghijk"}, "password"),
    ({"password": "zyxwvuts"}, "password"),
    ({"password": "e\u0301" * 4}, "password"),
    ({"name": "A\u200bda"}, "name"),
    ({"name": "Ada\x1b[31m"}, "name"),
    ({"city": "\u3164"}, "city"),
    ({"name": "   "}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"name": ["Ada"]}, "name"),
    ({"city": 5}, "city"),
    ({"country": "a\0b"}, "country"),
    ({"roles": ["admin"]}, "roles"),
    ({"Name": "Ada"}, "Name"),
]


async def test_an_unusable_registration_is_refused_by_field(client: httpx2.AsyncClient) -> None:
    for changed, path in UNUSABLE:
        problem = problem_of(await client.post("/auth/register", json=ADA | changed), 422, "invalid-request")
        assert [error["path"] for error in problem["errors"]] == [path]
        assert problem["detail"].endswith(f": {problem['errors'][0]['message']}.")
        assert not problem["detail"].endswith("..")


@pytest.mark.parametrize(
    "password", ["lamp owl", ("lamp owl " * 15)[:128], " with spaces at both ends ", "пароль и 🎫🎫"]
)
async def test_a_password_of_8_to_128_characters_counts_as_it_was_typed(
    client: httpx2.AsyncClient, password: str
) -> None:
    assert (await client.post("/auth/register", json=ADA | {"password": password})).status_code == 201
    await log_in(client, ADA["email"], password)
    trimmed = {"username": ADA["email"], "password": password.strip() + "."}
    problem_of(await client.post("/auth/login", data=trimmed), 401, "invalid-credentials")


async def test_a_password_is_the_same_however_its_letters_are_encoded(client: httpx2.AsyncClient) -> None:
    spellings = [normalize(form, "pässwört-étude ﬁn Ⅳ") for form in ("NFC", "NFD", "NFKC", "NFKD")]
    for number, registered in enumerate(spellings):
        account = ADA | {"email": f"ada{number}@example.com", "password": registered}
        assert (await client.post("/auth/register", json=account)).status_code == 201
        for typed in spellings:
            await log_in(client, account["email"], typed)
        wrong = {"username": account["email"], "password": "passwort-etude fin IV"}
        problem_of(await client.post("/auth/login", data=wrong), 401, "invalid-credentials")


async def test_a_password_that_was_kept_as_it_was_typed_still_opens_its_account(
    client: httpx2.AsyncClient, database_url: str
) -> None:
    typed = normalize("NFD", "pässwört-étude")
    await client.post("/auth/register", json=ADA)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE tixxety.accounts SET password_hash = %s", (ARGON2ID.hash(typed),))
    await log_in(client, ADA["email"], typed)
    composed = {"username": ADA["email"], "password": normalize("NFC", typed)}
    problem_of(await client.post("/auth/login", data=composed), 401, "invalid-credentials")


def test_the_common_passwords_are_thousands_and_none_is_too_short() -> None:
    assert len(common_passwords()) > 7_000
    assert min(map(len, common_passwords())) == SHORTEST_PASSWORD
    assert {"password1", "iloveyou", "1qaz2wsx"} <= common_passwords()


async def test_when_too_many_logins_wait_the_next_costs_no_query(
    app: FastAPI, client: httpx2.AsyncClient, database_url: str
) -> None:
    services = app.state.services
    with ExitStack() as turns, psycopg.connect(database_url) as connection:
        for _ in range(HASHES_WAITING):
            turns.enter_context(services.passwords.turn())
        # A query would wait, and the answer with it.
        connection.execute("LOCK TABLE tixxety.accounts IN ACCESS EXCLUSIVE MODE")
        form = {"username": ADA["email"], "password": PASSWORD}
        login = client.post("/auth/login", data=form)
        problem = problem_of(await asyncio.wait_for(login, 5), 503, "overloaded")
        assert problem["retry_after_seconds"] > 0
        problem_of(await asyncio.wait_for(client.post("/auth/register", json=ADA), 5), 503, "overloaded")
    assert (await client.post("/auth/register", json=ADA)).status_code == 201
    await log_in(client, ADA["email"])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
async def test_hashing_gives_way_to_whatever_else_has_to_be_done(app: FastAPI) -> None:
    niceness = await app.state.services.passwords._in_thread(os.nice, 0)
    assert niceness == os.nice(0) + NICENESS


async def test_logging_in_takes_both_kinds_of_form_and_ignores_the_rest_of_oauth2(client: httpx2.AsyncClient) -> None:
    await client.post("/auth/register", json=ADA)
    form = {"username": "ADA@example.com", "password": PASSWORD}
    rest = {"grant_type": "password", "scope": "a b", "client_id": "x", "client_secret": "y"}
    urlencoded = await client.post("/auth/login", data=form | rest)
    multipart = await client.post("/auth/login", files={name: (None, value) for name, value in (form | rest).items()})
    for answered in (urlencoded, multipart):
        assert answered.status_code == 200, answered.text
        assert answered.json().keys() == {
            "access_token", "token_type", "expires_in", "refresh_token", "refresh_expires_in"
        }  # fmt: skip
        assert (answered.json()["token_type"], answered.json()["expires_in"]) == ("bearer", 900)
        assert answered.headers["cache-control"] == "no-store"
        me = await client.get("/auth/me", headers=bearer(answered.json()["access_token"]))
        assert me.json()["email"] == "ada@example.com"


@pytest.mark.parametrize(
    "form",
    [
        {"username": "ada@example.com", "password": "wrong horse"},
        {"username": "ada@example.com", "password": "x" * 900},
        {"username": "bob@example.com", "password": PASSWORD},
        {"username": "no e-mail at all", "password": PASSWORD},
    ],
)
async def test_a_failed_login_does_not_tell_whether_the_account_exists(
    client: httpx2.AsyncClient, form: dict[str, str]
) -> None:
    await client.post("/auth/register", json=ADA)
    problem = problem_of(await client.post("/auth/login", data=form), 401, "invalid-credentials")
    assert problem.keys() == {"type", "title", "status", "detail", "request_id"}


async def test_an_unknown_email_costs_as_many_hashes(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.post("/auth/register", json=ADA)
    verified: list[str | None] = []
    verify = ARGON2ID.verify
    monkeypatch.setattr(
        ARGON2ID, "verify", lambda password, hashed: verified.append(hashed) or verify(password, hashed)
    )
    for password, hashes in (("wrong horse", 1), ("wrong hörse", 1), (normalize("NFD", "wrong hörse"), 2)):
        for email in (ADA["email"], "bob@example.com"):
            verified.clear()
            await client.post("/auth/login", data={"username": email, "password": password})
            kinds = [hashed.split("$")[1:4] for hashed in verified if hashed]
            assert kinds == [["argon2id", "v=19", "m=19456,t=2,p=1"]] * hashes, (email, password)


@pytest.mark.parametrize(
    ("form", "path"),
    [
        ({"username": "ada@example.com"}, "password"),
        ({"password": PASSWORD}, "username"),
        ({"username": "a\0b", "password": PASSWORD}, "username"),
        ({"username": "ada@example.com", "password": "12345678\0"}, "password"),
    ],
)
async def test_a_login_form_that_lacks_something_is_refused_by_field(
    client: httpx2.AsyncClient, form: dict[str, str], path: str
) -> None:
    problem = problem_of(await client.post("/auth/login", data=form), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == [path]


async def test_a_deleted_account_is_gone_at_once_with_all_it_told_us(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada, bob = await new_account(), await new_account()
    deleted = await client.delete("/auth/me", headers=ada.headers)
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method in ("GET", "DELETE"):
        problem_of(await client.request(method, "/auth/me", headers=ada.headers), 401, "not-authenticated")
    somewhere = {"event_id": str(uuid4())}
    problem_of(await client.post("/reservations", json=somewhere, headers=ada.headers), 401, "not-authenticated")
    problem_of(await client.post(f"/reservations/{uuid4()}/pay", headers=ada.headers), 401, "not-authenticated")
    form = {"username": ada.email, "password": PASSWORD}
    problem_of(await client.post("/auth/login", data=form), 401, "invalid-credentials")
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT email FROM tixxety.accounts").fetchall() == [(bob.email,)]


async def test_an_email_can_be_registered_again_after_its_account_was_deleted(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    before = await new_account(email="ada@example.com")
    await client.delete("/auth/me", headers=before.headers)
    after = await new_account(email="ada@example.com")
    assert after.id != before.id
    problem_of(await client.get("/auth/me", headers=before.headers), 401, "not-authenticated")


async def test_idempotency_keys_mean_nothing_to_accounts(client: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "the same"}
    assert (await client.post("/auth/register", json=ADA, headers=key)).status_code == 201
    problem_of(await client.post("/auth/register", json=ADA, headers=key), 409, "email-taken")


async def test_roles_are_granted_and_revoked_one_by_one(
    client: httpx2.AsyncClient, app: FastAPI, database_url: str, new_account: LogIn
) -> None:
    ada = await new_account(email="ada@example.com")
    services = app.state.services
    account = services.tokens.check(ada.token)

    async def is_admin() -> bool:
        async with services.pool.connection() as connection:
            return (await actor_of(connection, account)).is_admin

    assert not await is_admin()
    assert await grant(database_url, "ADA@example.com", "auditor") == ["auditor"]
    assert await grant(database_url, "ada@example.com", "admin") == ["admin", "auditor"]
    assert await grant(database_url, "ada@example.com", "admin") == ["admin", "auditor"]
    assert (await client.get("/auth/me", headers=ada.headers)).json()["roles"] == ["admin", "auditor"]
    assert await is_admin()
    for _ in range(2):
        assert await revoke(database_url, ada.email, "admin") == ["auditor"]
        assert not await is_admin()
    await client.delete("/auth/me", headers=ada.headers)
    with pytest.raises(AccountClosed):
        await is_admin()


@pytest.mark.parametrize("change", [grant, revoke])
async def test_roles_and_accounts_that_do_not_exist_are_said_to(database_url: str, change: Any) -> None:
    with pytest.raises(UnknownAccount, match="no account with this e-mail"):
        await change(database_url, "nobody@example.com", "auditor")
    with pytest.raises(UnknownRole, match="auditor, analyst and admin"):
        await change(database_url, "nobody@example.com", "emperor")


async def test_many_register_with_one_email_at_once_and_one_gets_it(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/auth/register", json=ADA) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
