"""What ends while it is relied on (a password, a session, an account) is relied on no more: the database decides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from accounts import account_queries, api_keys, password_resets
from accounts.account_queries import Credentials
from accounts.errors import InvalidCredentials, UnknownAccount
from accounts.passwords import ARGON2ID
from accounts.tokens import Account
from eventstore.postgres.connections import Connection, connect, connect_as_owner
from tests.api.accounts.test_changing_accounts import ANOTHER, change_email, change_password, login_status
from tests.api.accounts.test_sessions import IN_THE_DATABASE, as_owner, begin, of
from tests.api.conftest import PASSWORD, LoggedIn, LogIn, password_hash, problem_of

SET_HASH = "UPDATE accounts SET password_hash = %(new_hash)s WHERE account_id = %(account_id)s"
KEYS = "SELECT count(*) FROM api_keys WHERE account_id = %(account_id)s"
END_SESSIONS = "DELETE FROM sessions WHERE account_id = %(account_id)s"
PATIENT = {"idle_in_transaction_session_timeout": "0"}
WAITING = """
SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Asked = Callable[[httpx2.AsyncClient, LoggedIn], Awaitable[httpx2.Response]]


async def log_in(client: httpx2.AsyncClient, account: LoggedIn) -> httpx2.Response:
    return await client.post("/auth/login", data={"username": account.email, "password": PASSWORD})


async def make_key(client: httpx2.AsyncClient, account: LoggedIn) -> httpx2.Response:
    return await client.post("/auth/api-keys", json={"name": "a", "scopes": ["read"]}, headers=account.headers)


async def take_email(client: httpx2.AsyncClient, account: LoggedIn) -> httpx2.Response:
    return await change_email(client, account, "thief@example.com")


async def take_password(client: httpx2.AsyncClient, account: LoggedIn) -> httpx2.Response:
    return await change_password(client, account, "the password of a thief")


async def waits(app: FastAPI, task: asyncio.Task[Any]) -> None:
    """Until the task waits for a lock of the database, or is done without."""
    for _ in range(3_000):
        if task.done() or (await as_owner(app, WAITING))[0][0]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it neither waits nor ends")


@asynccontextmanager
async def changing(app: FastAPI, statement: str, **values: Any) -> AsyncIterator[Connection]:
    """Within it the statement has been done and is not committed yet: it is at the end."""
    office = app.state.services.config.box_office
    async with await connect_as_owner(office, **PATIENT) as owner, owner.transaction():
        await owner.execute(statement.encode(), values)
        yield owner


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (log_in, 401, "invalid-credentials"),
        (take_email, 403, "wrong-password"),
        (take_password, 403, "wrong-password"),
    ],
)
async def test_what_was_proved_with_the_old_password_does_not_happen_once_there_is_another(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, asked: Asked, status: int, code: str
) -> None:
    account = await new_account()
    ada = of(account, await begin(client, account))
    new_hash = str(ARGON2ID.hash(ANOTHER))
    async with changing(app, SET_HASH, account_id=ada.id, new_hash=new_hash):
        asking = asyncio.create_task(asked(client, ada))
        await waits(app, asking)
    problem_of(await asking, status, code)
    assert await as_owner(app, IN_THE_DATABASE, account_id=ada.id) == [(1,)]
    assert [await login_status(client, ada.email, password) for password in (PASSWORD, ANOTHER)] == [401, 200]


@pytest.mark.parametrize("asked", [take_email, take_password])
async def test_a_session_that_ends_meanwhile_changes_neither_password_nor_email(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, asked: Asked
) -> None:
    account = await new_account()
    ada = of(account, await begin(client, account))
    lock = "SELECT FROM accounts WHERE account_id = %(account_id)s FOR UPDATE"
    async with changing(app, lock, account_id=ada.id) as owner:
        asking = asyncio.create_task(asked(client, ada))
        await waits(app, asking)
        await owner.execute(END_SESSIONS, {"account_id": ada.id})
    problem_of(await asking, 403, "wrong-password")
    assert await login_status(client, ada.email, PASSWORD) == 200


@pytest.mark.parametrize("by_token", [False, True], ids=["change", "reset"])
async def test_a_session_that_begins_while_another_password_is_set_is_ended_with_all_others(
    app: FastAPI, new_account: LogIn, database_url: str, by_token: bool
) -> None:
    """The login was first, and is not committed when the change begins."""
    ada = await new_account()
    token = await password_resets.make(database_url, ada.email)
    services, account_id = app.state.services, UUID(ada.id)

    async def set_another() -> bool:
        async with services.pool.connection() as connection:
            if by_token:
                return await password_resets.use(connection, token, "another")
            return await account_queries.change_password(connection, account_id, password_hash(), "another", None)

    async with await connect(database_url, **PATIENT) as connection:
        async with connection.transaction():
            await services.sessions.begin(connection, Credentials(account_id, password_hash(), []))
            setting = asyncio.create_task(set_another())
            await waits(app, setting)
            assert not setting.done()
        assert await setting
        assert await as_owner(app, IN_THE_DATABASE, account_id=ada.id) == [(0,)]
        with pytest.raises(InvalidCredentials):
            await services.sessions.begin(connection, Credentials(account_id, password_hash(), []))


async def test_a_login_that_its_account_is_deleted_under_is_none(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    async with changing(app, "DELETE FROM accounts WHERE account_id = %(account_id)s", account_id=ada.id):
        asking = asyncio.create_task(log_in(client, ada))
        await waits(app, asking)
    problem_of(await asking, 401, "invalid-credentials")


@pytest.mark.parametrize("gone", ["account", "session"])
async def test_a_key_is_not_made_for_an_account_or_a_session_that_ends_meanwhile(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, gone: str
) -> None:
    ada = await new_account()
    async with changing(app, f"DELETE FROM {gone}s WHERE account_id = %(account_id)s", account_id=ada.id):
        asking = asyncio.create_task(make_key(client, ada))
        await waits(app, asking)
    problem_of(await asking, 401, "not-authenticated")
    assert await as_owner(app, KEYS, account_id=ada.id) == [(0,)]


async def test_keys_that_are_made_at_once_are_no_more_than_one_may_have(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "KEYS_MAX", 2)
    ada = await new_account()
    answers = await asyncio.gather(*(make_key(client, ada) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]
    assert await as_owner(app, KEYS, account_id=ada.id) == [(2,)]


async def test_an_operators_token_is_not_made_for_an_account_that_is_deleted_meanwhile(
    app: FastAPI, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account()
    async with changing(app, "DELETE FROM accounts WHERE account_id = %(account_id)s", account_id=ada.id):
        making = asyncio.create_task(password_resets.make(database_url, ada.email))
        await waits(app, making)
    with pytest.raises(UnknownAccount):
        await making


async def test_a_key_that_is_made_while_all_are_ended_is_ended_with_them(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, database_url: str
) -> None:
    """The key was first, and is not committed when its session ends."""
    ada = await new_account()
    maker = Account(UUID(ada.id), UUID(ada.id))
    async with await connect(database_url, **PATIENT) as connection, connection.transaction():
        await api_keys.create(connection, maker, name="a", scopes=["read"], expires_at=None)
        ending = asyncio.create_task(client.post("/auth/logout-everywhere?revoke_keys=true", headers=ada.headers))
        await waits(app, ending)
        assert not ending.done()
    assert (await ending).status_code == 204
    assert await as_owner(app, KEYS, account_id=ada.id) == [(0,)]
