"""Sessions over HTTP: refreshed token by token, ended here or everywhere, and by a token that comes again."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2
import jwt
import psycopg
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from accounts import sessions
from accounts.errors import InvalidRefreshToken
from accounts.sessions import REPEATED_SECONDS, SESSION_DAYS, Sessions
from accounts.tokens import Tokens
from eventstore.postgres.connections import WORKER_ROLE, connect, connect_as_owner
from tests.api.conftest import JWT_SECRET, PASSWORD, LoggedIn, LogIn, problem_of
from tests.api.programme import cancel, event_body, folding, new_event, pay, reserve, reserved, set_roles
from workers.periodic_jobs import EndedLogins

PLAIN = {"Content-Type": "application/json"}
ROUNDABOUT = {"Content-Type": "application/json; charset=utf-8"}
EARLIER = "UPDATE sessions SET refreshed_at = refreshed_at - %(ago)s * interval '1 second'"
# Of those that a login began.
IN_THE_DATABASE = "SELECT count(*) FROM sessions WHERE account_id = %(account_id)s AND session_id <> account_id"


async def begin(client: httpx2.AsyncClient, account: LoggedIn) -> dict[str, Any]:
    """What a login answers."""
    answered = await client.post("/auth/login", data={"username": account.email, "password": PASSWORD})
    assert answered.status_code == 200, answered.text
    tokens: dict[str, Any] = answered.json()
    return tokens


async def refresh(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post("/auth/refresh", json={"refresh_token": token})


async def refreshed(client: httpx2.AsyncClient, tokens: dict[str, Any]) -> dict[str, Any]:
    """The next tokens, which must be given."""
    answered = await refresh(client, tokens["refresh_token"])
    assert answered.status_code == 200, answered.text
    following: dict[str, Any] = answered.json()
    return following


def of(account: LoggedIn, tokens: dict[str, Any]) -> LoggedIn:
    return account._replace(token=tokens["access_token"])


async def as_owner(app: FastAPI, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    async with await connect_as_owner(app.state.services.config.box_office) as owner:
        cursor = await owner.execute(statement.encode(), values)
        return await cursor.fetchall() if cursor.description else []


async def is_logged_in(client: httpx2.AsyncClient, account: LoggedIn) -> bool:
    return (await client.get("/auth/me", headers=account.headers)).status_code == 200


async def test_a_session_goes_on_from_token_to_token(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    tokens = await begin(client, ada)
    seen = {tokens["refresh_token"]}
    for _ in range(5):
        tokens = await refreshed(client, tokens)
        assert tokens["expires_in"] == 900
        assert 0 < SESSION_DAYS * 86_400 - tokens["refresh_expires_in"] < 60
        assert tokens["refresh_token"] not in seen
        seen.add(tokens["refresh_token"])
        assert await is_logged_in(client, of(ada, tokens))


async def test_what_is_stored_of_a_token_is_no_token(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    tokens = await begin(client, await new_account())
    following = await refreshed(client, tokens)
    ((row,),) = await as_owner(app, "SELECT s::text FROM sessions s WHERE session_id <> account_id")
    for token in (tokens["refresh_token"], following["refresh_token"]):
        assert token.rpartition("_")[2] not in row


async def test_a_token_that_comes_again_at_once_gives_the_same_next_one(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada = await new_account()
    tokens = await begin(client, ada)
    both = await asyncio.gather(refreshed(client, tokens), refreshed(client, tokens))
    assert both[0]["refresh_token"] == both[1]["refresh_token"]
    assert await is_logged_in(client, of(ada, await refreshed(client, both[1])))


async def test_a_token_that_comes_again_later_ends_its_session_for_whoever_has_it(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    stolen, elsewhere = await begin(client, ada), await begin(client, ada)
    newest = await refreshed(client, stolen)
    await as_owner(app, EARLIER, ago=REPEATED_SECONDS)
    with capture_logs() as logs:
        problem_of(await refresh(client, stolen["refresh_token"]), 401, "invalid-refresh-token")
    assert [line["account"] for line in logs if "came again" in line["event"]] == [ada.id]
    problem_of(await refresh(client, newest["refresh_token"]), 401, "invalid-refresh-token")
    assert not await is_logged_in(client, of(ada, newest))
    assert await is_logged_in(client, of(ada, await refreshed(client, elsewhere)))


async def test_the_token_before_the_one_before_ends_the_session_even_at_once(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    first = await begin(client, await new_account())
    last = await refreshed(client, await refreshed(client, first))
    problem_of(await refresh(client, first["refresh_token"]), 401, "invalid-refresh-token")
    problem_of(await refresh(client, last["refresh_token"]), 401, "invalid-refresh-token")


async def test_what_is_no_token_of_a_session_continues_none(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    tokens = await begin(client, await new_account())
    unknown = f"tixxety_refresh_{uuid4().hex}_{'A' * 43}"
    for token in ("x", "ünï", tokens["access_token"], tokens["refresh_token"] + "=", unknown):
        problem_of(await refresh(client, token), 401, "invalid-refresh-token")
    problem_of(await client.post("/auth/refresh", json={}), 422, "invalid-request")
    await refreshed(client, tokens)


async def test_another_secret_ends_all_sessions(client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn) -> None:
    """As it ends all access tokens: whoever has learned the old one can continue nothing."""
    tokens = await begin(client, await new_account())
    async with app.state.services.pool.connection() as connection:
        with pytest.raises(InvalidRefreshToken):
            await Sessions("another secret of more than thirty-two bytes").refresh(connection, tokens["refresh_token"])
    problem_of(await refresh(client, tokens["refresh_token"]), 401, "invalid-refresh-token")


async def test_a_refresh_token_is_no_access_token(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    token = (await begin(client, ada))["refresh_token"]
    for path in ("/auth/me", "/events", "/reservations"):
        problem_of(await client.get(path, headers=ada._replace(token=token).headers), 401, "not-authenticated")


async def test_a_session_is_over_in_the_end_however_often_it_is_refreshed(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    tokens = await begin(client, ada)
    await as_owner(app, "UPDATE sessions SET expires_at = clock_timestamp() + interval '5 minutes'")
    tokens = await refreshed(client, tokens)
    assert 200 < tokens["expires_in"] == tokens["refresh_expires_in"] < 300
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == tokens["expires_in"]
    await as_owner(app, "UPDATE sessions SET expires_at = clock_timestamp() + interval '2 seconds'")
    problem_of(await refresh(client, tokens["refresh_token"]), 401, "invalid-refresh-token")


async def test_the_worker_drops_what_is_over(client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn) -> None:
    over, lasting = await new_account(), await new_account()
    await begin(client, over)
    await as_owner(app, "UPDATE sessions SET expires_at = clock_timestamp() - interval '1 second'")
    await begin(client, lasting)
    async with await connect(app.state.services.config.box_office, role=WORKER_ROLE) as connection:
        await EndedLogins().work(connection)
    for account, left in ((over, 0), (lasting, 1)):
        assert await as_owner(app, IN_THE_DATABASE, account_id=account.id) == [(left,)]


async def test_an_account_has_so_many_sessions_and_a_new_one_ends_the_oldest(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 3)
    ada, ben = await new_account(), await new_account()
    oldest, kept = await begin(client, ada), await begin(client, ben)
    for _ in range(3):
        newest = await begin(client, ada)
    assert await as_owner(app, IN_THE_DATABASE, account_id=ada.id) == [(3,)]
    problem_of(await refresh(client, oldest["refresh_token"]), 401, "invalid-refresh-token")
    for tokens in (newest, kept):
        await refreshed(client, tokens)


async def test_logging_out_here_leaves_the_other_sessions(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada = await new_account()
    here, there = await begin(client, ada), await begin(client, ada)
    answered = await client.post("/auth/logout", headers=of(ada, here).headers)
    assert (answered.status_code, answered.content) == (204, b"")
    problem_of(await refresh(client, here["refresh_token"]), 401, "invalid-refresh-token")
    problem_of(await client.post("/auth/logout", headers=of(ada, here).headers), 401, "not-authenticated")
    assert await is_logged_in(client, of(ada, await refreshed(client, there)))


async def test_logging_out_everywhere_ends_all_sessions_of_the_account(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, ben = await new_account(), await new_account()
    adas, bens = [await begin(client, ada) for _ in range(3)], await begin(client, ben)
    answered = await client.post("/auth/logout-everywhere", headers=of(ada, adas[1]).headers)
    assert (answered.status_code, answered.content) == (204, b"")
    for tokens in adas:
        problem_of(await refresh(client, tokens["refresh_token"]), 401, "invalid-refresh-token")
        assert not await is_logged_in(client, of(ada, tokens))
    await refreshed(client, bens)


@pytest.mark.parametrize("kind", [PLAIN, ROUNDABOUT], ids=["lane", "framework"])
async def test_an_ended_session_can_do_nothing_that_can_not_be_undone_from_that_moment_on(
    client: httpx2.AsyncClient, new_account: LogIn, kind: dict[str, str], database_url: str
) -> None:
    account = await new_account()
    ada = of(account, await begin(client, account))
    async with folding(database_url):
        event = await new_event(client, ada, max_per_buyer=2)
        held = await reserved(client, ada, event)
        await client.post("/auth/logout", headers=ada.headers)
        headers = ada.headers | kind
        refused = [
            await client.post(f"/reservations/{held['id']}/pay", content=b"{}", headers=headers),
            await client.post(f"/reservations/{held['id']}/cancel", content=b"{}", headers=headers),
            await pay(client, ada, held),
            await cancel(client, ada, "reservations", held),
            await client.post("/events", json=event_body(), headers=ada.headers),
            await client.patch(f"/events/{event['id']}", json={"max_per_buyer": 3}, headers=ada.headers),
            await cancel(client, ada, "events", event),
            await client.delete("/auth/me", headers=ada.headers),
            await client.get("/reservations", headers=headers),
            await client.get("/reservations?limit=1", headers=headers),
            await client.get(f"/reservations/{held['id']}", headers=headers),
            await client.get(f"/events/{event['id']}", headers=headers),
            await client.get("/events/for-you", headers=headers),
            await client.get(f"/analytics/events/{event['id']}/sales", headers=headers),
        ]
    for answer in refused:
        problem_of(answer, 401, "not-authenticated")
    # What ends by itself is not worth a question on the way of every buyer.
    assert (await reserve(client, ada, event)).status_code == 201
    assert (await pay(client, of(account, await begin(client, account)), held)).status_code == 200


@pytest.mark.parametrize("kind", [PLAIN, ROUNDABOUT], ids=["lane", "framework"])
async def test_reserving_asks_for_nothing_beside_what_it_records(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn, kind: dict[str, str]
) -> None:
    """Neither with a token nor with a key that was met a moment ago: not even when nobody could be asked."""
    account = await new_account()
    ada = of(account, await begin(client, account))
    made = await client.post("/auth/api-keys", json={"name": "door", "scopes": ["reserve"]}, headers=ada.headers)
    program = account._replace(token=made.json()["key"])
    event = await new_event(client, ada, max_per_buyer=9, total_tickets=9)
    body = f'{{"event_id": "{event["id"]}"}}'
    assert (await client.post("/reservations", content=body, headers=program.headers | kind)).status_code == 201
    for table in ("sessions", "api_keys"):
        await as_owner(app, f"ALTER TABLE {table} RENAME TO {table}_out_of_reach")
    for buyer in (ada, program):
        reserved = await client.post("/reservations", content=body, headers=buyer.headers | kind)
        assert reserved.status_code == 201, reserved.text
        paid = await client.post(f"/reservations/{reserved.json()['id']}/pay", headers=buyer.headers)
        assert paid.status_code == 503, paid.text


async def test_an_ended_session_reads_nothing_for_the_audit(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    auditor = await new_account()
    await set_roles(app, auditor, "auditor")
    ada = of(auditor, await begin(client, auditor))
    assert (await client.get("/audit/seals", headers=ada.headers)).status_code == 200
    await client.post("/auth/logout", headers=ada.headers)
    problem_of(await client.get("/audit/seals", headers=ada.headers), 401, "not-authenticated")


async def test_sessions_go_with_their_account(client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn) -> None:
    ada = await new_account()
    tokens = await begin(client, ada)
    assert (await client.delete("/auth/me", headers=of(ada, tokens).headers)).status_code == 204
    problem_of(await refresh(client, tokens["refresh_token"]), 401, "invalid-refresh-token")
    assert await as_owner(app, IN_THE_DATABASE, account_id=ada.id) == [(0,)]


@pytest.mark.parametrize("kind", [PLAIN, ROUNDABOUT], ids=["lane", "framework"])
async def test_a_token_from_before_there_were_sessions_reads_and_reserves_and_no_more(
    client: httpx2.AsyncClient, new_account: LogIn, kind: dict[str, str], database_url: str
) -> None:
    """Nobody could end it."""
    ada = await new_account()
    before = ada._replace(token=Tokens(JWT_SECRET).make(UUID(ada.id), []))
    assert "sid" not in jwt.decode(before.token, options={"verify_signature": False})
    headers = before.headers | kind
    async with folding(database_url):
        event = await new_event(client, ada)
        held = await reserved(client, before, event)
        place = f"/reservations/{held['id']}"
        for path in ("/events", f"/events/{event['id']}", "/events/for-you", "/reservations", place):
            assert (await client.get(path, headers=headers)).status_code == 200, path
        for refused in (
            await client.post(f"{place}/pay", content=b"{}", headers=headers),
            await client.post(f"{place}/cancel", content=b"{}", headers=headers),
            await client.post("/auth/api-keys", json={"name": "a", "scopes": ["read"]}, headers=before.headers),
            await client.post("/events", json=event_body(), headers=before.headers),
            await cancel(client, before, "events", event),
            await client.patch("/auth/me", json={"name": "A"}, headers=before.headers),
            await client.post("/auth/logout-everywhere", headers=before.headers),
            await client.delete("/auth/me", headers=before.headers),
        ):
            problem_of(refused, 401, "not-authenticated")
        assert (await pay(client, ada, held)).status_code == 200


async def test_a_role_that_was_taken_away_is_in_no_token_made_later(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    for roles in (["auditor"], []):
        await as_owner(app, "UPDATE accounts SET roles = %(roles)s", roles=roles)
        tokens = await refreshed(client, await begin(client, ada))
        assert jwt.decode(tokens["access_token"], options={"verify_signature": False})["roles"] == roles


def test_analysts_and_the_worker_see_no_session(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        for role in ("tixxety_analyst", "tixxety_worker"):
            for table in ("sessions", "api_keys", "password_resets"):
                asked = f"SELECT has_any_column_privilege('{role}', 'tixxety.{table}', 'SELECT')"
                may = owner.execute(asked.encode()).fetchone()
                assert may == (role == "tixxety_worker",)
