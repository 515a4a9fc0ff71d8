"""An account changed over HTTP: name and address by who is logged in, password and e-mail by who knows the password."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from accounts import password_resets
from accounts.password_resets import GOOD_MINUTES
from accounts.passwords import LONGEST_PASSWORD
from api.app import ApiConfig
from api.http.rate_limits import FAILED_LOGINS
from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.api.accounts.test_sessions import as_owner, begin, is_logged_in, of, refresh
from tests.api.conftest import PASSWORD, LoggedIn, LogIn, log_in, problem_of
from tests.api.programme import folding, new_event
from workers.periodic_jobs import EndedLogins

ANOTHER = "a battery of horses"
ADDRESS = {"street": "Ring 1", "city": "Graz", "state": "Styria", "country": "Austria"}


async def change_password(
    client: httpx2.AsyncClient, account: LoggedIn, password: str = ANOTHER, current: str = PASSWORD
) -> httpx2.Response:
    body = {"current_password": current, "password": password}
    return await client.put("/auth/password", json=body, headers=account.headers)


async def change_email(
    client: httpx2.AsyncClient, account: LoggedIn, email: str, current: str = PASSWORD
) -> httpx2.Response:
    body = {"email": email, "current_password": current}
    return await client.put("/auth/email", json=body, headers=account.headers)


async def login_status(client: httpx2.AsyncClient, email: str, password: str) -> int:
    return (await client.post("/auth/login", data={"username": email, "password": password})).status_code


async def test_name_and_address_are_changed_one_by_one(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account(**ADDRESS)
    before = (await client.get("/auth/me", headers=ada.headers)).json()
    for change in ({"city": " Tallinn "}, {"name": "Ada L."}, {"street": None, "state": None}, {}):
        answered = await client.patch("/auth/me", json=change, headers=ada.headers)
        before |= {name: value and value.strip() for name, value in change.items()}
        assert (answered.status_code, answered.json()) == (200, before)
    assert (await client.get("/auth/me", headers=ada.headers)).json() == before


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"city": ""}, "city"),
        ({"city": "Gr\u200baz"}, "city"),
        ({"email": "other@example.com"}, "email"),
        ({"password": ANOTHER}, "password"),
        ({"roles": ["admin"]}, "roles"),
    ],
)
async def test_what_can_not_be_changed_so_is_refused_by_field(
    client: httpx2.AsyncClient, new_account: LogIn, change: dict[str, Any], path: str
) -> None:
    ada = await new_account()
    answered = await client.patch("/auth/me", json={"country": "Latvia"} | change, headers=ada.headers)
    assert [error["path"] for error in problem_of(answered, 422, "invalid-request")["errors"]] == [path]
    assert (await client.get("/auth/me", headers=ada.headers)).json()["country"] is None


async def test_events_near_an_account_follow_its_address(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account(city="Riga")
    async with folding(database_url):
        for city in ("Riga", "Tallinn"):
            await new_event(client, ada, city=city)
        for city in ("Tallinn", "Riga"):
            await client.patch("/auth/me", json={"city": city}, headers=ada.headers)
            near = (await client.get("/events/for-you", headers=ada.headers)).json()["items"]
            assert near[0]["city"] == city


async def test_a_password_is_changed_by_who_knows_it_and_ends_all_other_sessions(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, ben = await new_account(), await new_account()
    here, there, bens = await begin(client, ada), await begin(client, ada), await begin(client, ben)
    answered = await change_password(client, of(ada, here))
    assert (answered.status_code, answered.content) == (204, b"")
    assert [await login_status(client, ada.email, password) for password in (PASSWORD, ANOTHER)] == [401, 200]
    assert not await is_logged_in(client, of(ada, there))
    problem_of(await refresh(client, there["refresh_token"]), 401, "invalid-refresh-token")
    for account, tokens in ((ada, here), (ben, bens)):
        assert await is_logged_in(client, of(account, tokens))
        assert (await refresh(client, tokens["refresh_token"])).status_code == 200
    assert await login_status(client, ben.email, PASSWORD) == 200


async def test_a_password_that_is_not_the_current_one_changes_nothing(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada = await new_account()
    there = await begin(client, ada)
    for wrong in ("wrong horse", ANOTHER, PASSWORD.upper(), "x" * 900):
        problem_of(await change_password(client, ada, current=wrong), 403, "wrong-password")
        problem_of(await change_email(client, ada, "new@example.com", wrong), 403, "wrong-password")
    assert await login_status(client, ada.email, PASSWORD) == 200
    assert await is_logged_in(client, of(ada, there))


async def test_a_new_password_has_to_keep_the_rules_of_the_first(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada = await new_account(email="ada.lovelace@example.com")
    weak = ("short 7", "x" * (LONGEST_PASSWORD + 1), "Password1", "zzzzzzzzz", "Ada.Lovelace 1815", "example.com")
    for password in weak:
        problem = problem_of(await change_password(client, ada, password), 422, "invalid-request")
        assert [error["path"] for error in problem["errors"]] == ["password"], password
    assert await login_status(client, ada.email, PASSWORD) == 200


async def test_of_two_changes_at_once_one_is_made(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    passwords = [f"{ANOTHER} {number}" for number in range(4)]
    answers = await asyncio.gather(*(change_password(client, ada, password) for password in passwords))
    assert sorted(answer.status_code for answer in answers) == [204, 403, 403, 403]
    made = [answer.status_code == 204 for answer in answers]
    assert [await login_status(client, ada.email, password) == 200 for password in passwords] == made


async def test_an_email_is_changed_by_who_knows_the_password(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, ben = await new_account(email="ada@example.com"), await new_account(email="ben@example.com")
    tokens = await begin(client, ada)
    answered = await change_email(client, ada, " Ada.L@Example.com ")
    assert (answered.status_code, answered.json()["email"], answered.json()["id"]) == (200, "ada.l@example.com", ada.id)
    assert [await login_status(client, email, PASSWORD) for email in (ada.email, "ada.l@example.com")] == [401, 200]
    assert (await refresh(client, tokens["refresh_token"])).status_code == 200
    problem_of(await change_email(client, ben, "ADA.L@example.com"), 409, "email-taken")
    assert (await change_email(client, ben, "ada@example.com")).status_code == 200
    problem = problem_of(await change_email(client, ben, "nobody"), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == ["email"]


async def test_an_account_that_is_gone_changes_nothing(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    await client.delete("/auth/me", headers=ada.headers)
    for refused in (
        await client.patch("/auth/me", json={"name": "A"}, headers=ada.headers),
        await change_password(client, ada),
        await change_email(client, ada, "new@example.com"),
    ):
        problem_of(refused, 401, "not-authenticated")


async def test_a_password_is_set_once_by_an_operators_token_and_ends_all_sessions(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account(email="ada@example.com")
    tokens = await begin(client, ada)
    made, unused = [await password_resets.make(database_url, "ADA@example.com") for _ in range(2)]
    body = {"token": made, "password": ANOTHER}
    weak = await client.post("/auth/password-reset", json=body | {"password": "Ada is my name"})
    assert [error["path"] for error in problem_of(weak, 422, "invalid-request")["errors"]] == ["password"]
    answered = await client.post("/auth/password-reset", json=body)
    assert (answered.status_code, answered.content) == (204, b"")
    assert [await login_status(client, ada.email, password) for password in (PASSWORD, ANOTHER)] == [401, 200]
    assert not await is_logged_in(client, of(ada, tokens))
    problem_of(await refresh(client, tokens["refresh_token"]), 401, "invalid-refresh-token")
    for token in (made, unused, "tixxety_reset_x", "ünï"):
        answered = await client.post("/auth/password-reset", json={"token": token, "password": "yet another one"})
        problem_of(answered, 401, "invalid-reset-token")
    await log_in(client, ada.email, ANOTHER)


async def test_who_sends_an_operators_token_twice_at_once_sets_one_password(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    token = await password_resets.make(database_url, ada.email)
    bodies = [{"token": token, "password": f"{ANOTHER} {number}"} for number in range(4)]
    answers = await asyncio.gather(*(client.post("/auth/password-reset", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401]


async def test_an_operators_token_is_over_in_time_and_when_the_password_was_changed(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, database_url: str
) -> None:
    ada, ben = await new_account(), await new_account()
    late = await password_resets.make(database_url, ada.email)
    await as_owner(
        app,
        "UPDATE password_resets SET expires_at = expires_at - %(minutes)s * interval '1 minute'",
        minutes=GOOD_MINUTES,
    )
    needless = await password_resets.make(database_url, ben.email)
    assert (await change_password(client, ben)).status_code == 204
    for token in (late, needless):
        answered = await client.post("/auth/password-reset", json={"token": token, "password": "yet another one"})
        problem_of(answered, 401, "invalid-reset-token")
    async with await connect(app.state.services.config.box_office, role=WORKER_ROLE) as connection:
        await EndedLogins().work(connection)
    assert await as_owner(app, "SELECT count(*) FROM password_resets") == [(0,)]


async def test_an_operators_token_goes_with_the_account_and_is_not_stored(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    token = await password_resets.make(database_url, ada.email)
    with psycopg.connect(database_url) as owner:
        ((row,),) = owner.execute("SELECT r::text FROM tixxety.password_resets r").fetchall()
        assert token not in row
        await client.delete("/auth/me", headers=ada.headers)
        assert owner.execute("SELECT FROM tixxety.password_resets").fetchall() == []


class TestLimits:
    """Guesses are limited as those of a login are, and count together with them."""

    @pytest.fixture
    def config(self, config: ApiConfig) -> ApiConfig:
        """The limits are on."""
        return replace(config, rate_limits=True)

    async def test_wrong_passwords_count_as_failed_logins(self, client: httpx2.AsyncClient, new_account: LogIn) -> None:
        ada, ben = await new_account(), await new_account()
        for number in range(FAILED_LOGINS.amount):
            if number % 2:
                guessed = await change_password(client, ada, current="x")
            else:
                guessed = await change_email(client, ada, "b@example.com", "x")
            problem_of(guessed, 403, "wrong-password")
        for refused in (await change_password(client, ada), await change_email(client, ada, "b@example.com")):
            problem_of(refused, 429, "rate-limited")
        assert await login_status(client, ada.email, PASSWORD) == 429
        assert (await change_password(client, ben)).status_code == 204

    async def test_wrong_tokens_are_limited(
        self, client: httpx2.AsyncClient, new_account: LogIn, database_url: str
    ) -> None:
        ada = await new_account()
        right = {"token": await password_resets.make(database_url, ada.email), "password": ANOTHER}
        for _ in range(FAILED_LOGINS.amount):
            answered = await client.post("/auth/password-reset", json=right | {"token": "tixxety_reset_x"})
            problem_of(answered, 401, "invalid-reset-token")
        problem_of(await client.post("/auth/password-reset", json=right), 429, "rate-limited")
        session, ended = await begin(client, ada), await begin(client, ada)
        await client.post("/auth/logout", headers=of(ada, ended).headers)
        for _ in range(FAILED_LOGINS.amount):
            problem_of(await refresh(client, ended["refresh_token"]), 401, "invalid-refresh-token")
        problem_of(await refresh(client, ended["refresh_token"]), 429, "rate-limited")
        assert (await refresh(client, session["refresh_token"])).status_code == 200
