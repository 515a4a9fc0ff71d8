"""API keys over HTTP: shown once, limited by scope, accepted where a token is, ended at once where it counts."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx2
import psycopg
import pytest
from fastapi import FastAPI

from accounts import api_keys
from accounts.api_keys import KEYS_MAX, KNOWN_SECONDS, PREFIX, READ, RESERVE, SCOPES
from api.app import ApiConfig
from api.express_lane import ROUTES
from api.http.rate_limits import UNKNOWN_KEYS
from api.plumbing.scopes import ANY, NEEDS, NO_KEY, Need
from eventstore.postgres.connections import WORKER_ROLE, connect
from tests.api.accounts.test_sessions import as_owner, begin, of
from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    TOMORROW,
    UNKNOWN_ID,
    an_auditor,
    cancel,
    crowd,
    event_body,
    folding,
    instant,
    new_event,
    pay,
    reserve,
    reserved,
    set_roles,
)
from workers.periodic_jobs import EndedLogins

PLAIN = {"Content-Type": "application/json"}
ROUNDABOUT = {"Content-Type": "application/json; charset=utf-8"}


async def new_key(client: httpx2.AsyncClient, account: LoggedIn, *scopes: str, **more: Any) -> dict[str, Any]:
    """The answer to making a key, with all scopes unless some are named."""
    body = {"name": "a program", "scopes": list(scopes or SCOPES), **more}
    answered = await client.post("/auth/api-keys", json=body, headers=account.headers)
    assert answered.status_code == 201, answered.text
    made: dict[str, Any] = answered.json()
    return made


def by(account: LoggedIn, key: dict[str, Any]) -> LoggedIn:
    """The account as its program sends requests."""
    return account._replace(token=key["key"])


def test_whatever_changes_something_asks_at_once_whether_the_login_goes_on() -> None:
    later = {route for route, need in NEEDS.items() if not need.at_once}
    assert {(method, path) for method, path in later if method != "GET"} == {("POST", "/reservations")}
    assert not [path for _, path in later if path.startswith(("/audit", "/auth"))]


async def test_a_key_is_shown_once_and_stored_as_a_hash(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada, ben = await new_account(), await new_account()
    made = await new_key(client, ada, "read", "reserve", name=" door scanner ")
    assert made["key"].startswith(PREFIX)
    assert (made["name"], made["scopes"], made["expires_at"], made["last_used_at"]) == (
        "door scanner", ["read", "reserve"], None, None
    )  # fmt: skip
    listed = (await client.get("/auth/api-keys", headers=ada.headers)).json()
    assert listed == {"items": [{name: value for name, value in made.items() if name != "key"}]}
    assert (await client.get("/auth/api-keys", headers=ben.headers)).json() == {"items": []}
    with psycopg.connect(database_url) as owner:
        ((row,),) = owner.execute("SELECT k::text FROM tixxety.api_keys k").fetchall()
    assert made["key"].removeprefix(PREFIX) not in row


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["read", "read"]}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"scopes": "read"}, "scopes"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"key": "tixxety_key_mine"}, "key"),
    ],
)
async def test_a_key_that_can_not_be_is_refused_by_field(
    client: httpx2.AsyncClient, new_account: LogIn, wrong: dict[str, Any], path: str
) -> None:
    ada = await new_account()
    body = {"name": "a program", "scopes": ["read"]} | wrong
    refused = await client.post("/auth/api-keys", json=body, headers=ada.headers)
    assert [error["path"] for error in problem_of(refused, 422, "invalid-request")["errors"]] == [path]


async def test_a_program_does_what_its_account_may(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    ada = await new_account(city="Riga")
    program = by(ada, await new_key(client, ada))
    async with folding(database_url):
        event = await new_event(client, program, max_per_buyer=4)
        for kind in (PLAIN, ROUNDABOUT):
            body = f'{{"event_id": "{event["id"]}"}}'
            held = await client.post("/reservations", content=body, headers=program.headers | kind)
            assert held.status_code == 201, held.text
            place = f"/reservations/{held.json()['id']}"
            for path in (f"{place}/pay", f"{place}/cancel"):
                done = await client.post(path, content="{}", headers=program.headers | kind)
                assert done.status_code == 200, done.text
            for path in ("/auth/me", "/events", "/events/for-you", f"/events/{event['id']}", "/reservations", place):
                assert (await client.get(path, headers=program.headers)).status_code == 200, path
        changed = await client.patch(f"/events/{event['id']}", json={"max_per_buyer": 3}, headers=program.headers)
        assert changed.status_code == 200
        sales = await client.get(f"/analytics/events/{event['id']}/sales", headers=program.headers)
        assert sales.status_code == 200
        assert (await cancel(client, program, "events", event)).status_code == 200


async def test_a_key_gives_no_role_and_keeps_none(client: httpx2.AsyncClient, app: FastAPI) -> None:
    (ada,) = await crowd(app, 1)
    program = by(ada, await new_key(client, ada, "audit"))
    for roles in ((), ("auditor",), ()):
        await set_roles(app, ada, *roles)
        answered = await client.get("/audit/seals", headers=program.headers)
        assert answered.status_code == (200 if roles else 403)


async def test_each_scope_opens_its_routes_and_no_other(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    """Every route with every scope: refused for it, or by what comes after it."""
    ada = await new_account()
    programs = {scope: by(ada, await new_key(client, ada, scope)) for scope in SCOPES}
    ids = dict.fromkeys(("event_id", "reservation_id", "buyer_id", "key_id", "ticket_type_id"), UNKNOWN_ID)
    for (method, path), need in NEEDS.items():
        for scope, program in programs.items():
            answered = await client.request(method, path.format_map(ids), headers=program.headers)
            told = answered.json().get("type", "") if answered.content else ""
            if need.scope is None:
                problem_of(answered, 403, "not-for-keys")
            elif need.scope in (scope, ANY):
                assert told not in ("/problems/scope-missing", "/problems/not-for-keys"), (method, path, scope)
            else:
                assert problem_of(answered, 403, "scope-missing")["needed_scope"] == need.scope


async def test_a_route_that_nobody_has_thought_of_is_for_no_key(
    client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await new_account()
    program = by(ada, await new_key(client, ada))
    monkeypatch.delitem(NEEDS, ("GET", "/reservations"))
    problem_of(await client.get("/reservations?limit=1", headers=program.headers), 403, "not-for-keys")
    assert Need(None) == NO_KEY


async def test_the_express_lane_leaves_keys_to_the_routes(
    client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    """Else what a key may not do would pass, or what it may would be refused as a token that is none."""
    ada = await new_account()
    event = await new_event(client, ada, max_per_buyer=50, total_tickets=50)
    held = await reserved(client, ada, event)
    programs = {scope: by(ada, await new_key(client, ada, scope)) for scope in (READ, RESERVE)}
    unknown = ada._replace(token=PREFIX + "A" * 43)
    async with folding(database_url):
        for method, path in ROUTES:
            address = path.format(id=(event if path.startswith("/events") else held)["id"])
            sent: dict[str, Any] = {}
            if method == "POST":
                sent = {"content": f'{{"event_id": "{event["id"]}"}}' if path == "/reservations" else "{}"}
            needed = ANY if path.startswith("/events") else READ if method == "GET" else RESERVE

            async def ask(account: LoggedIn, kind: dict[str, str], asked: Any = (method, address, sent)) -> Any:
                return await client.request(asked[0], asked[1], headers=account.headers | kind, **asked[2])

            for kind in (PLAIN, ROUNDABOUT) if sent else ({},):
                assert (await ask(ada, kind)).status_code in (200, 201)
                problem_of(await ask(unknown, kind), 401, "not-authenticated")
                for scope, program in programs.items():
                    answered = await ask(program, kind)
                    if needed in (scope, ANY):
                        assert answered.status_code in (200, 201), (method, path, answered.text)
                    else:
                        problem_of(answered, 403, "scope-missing")


async def test_a_revoked_key_can_do_nothing_that_can_not_be_undone_and_reads_nothing_of_its_account(
    client: httpx2.AsyncClient, new_account: LogIn, app: FastAPI, database_url: str
) -> None:
    ada, ben = await new_account(), await new_account()
    await set_roles(app, ada, "auditor")
    made, kept = await new_key(client, ada), await new_key(client, ada)
    program = by(ada, made)
    async with folding(database_url):
        event = await new_event(client, program, max_per_buyer=4)
        held = await reserved(client, program, event)
        address = f"/auth/api-keys/{made['id']}"
        problem_of(await client.delete(address, headers=ben.headers), 404, "not-found")
        assert (await client.delete(address, headers=ada.headers)).status_code == 204
        problem_of(await client.delete(address, headers=ada.headers), 404, "not-found")
        for refused in (
            await pay(client, program, held),
            await cancel(client, program, "reservations", held),
            await cancel(client, program, "events", event),
            await client.post("/events", json=event_body(), headers=program.headers),
            await client.get("/audit/seals", headers=program.headers),
            await client.get("/auth/me", headers=program.headers),
            await client.get("/reservations", headers=program.headers),
            await client.get("/events", headers=program.headers),
        ):
            problem_of(refused, 401, "not-authenticated")
        assert (await pay(client, by(ada, kept), held)).status_code == 200


async def test_what_a_process_knows_of_a_key_is_read_again_soon(
    client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await new_account()
    made = await new_key(client, ada)
    event = await new_event(client, by(ada, made), max_per_buyer=4)
    await client.delete(f"/auth/api-keys/{made['id']}", headers=ada.headers)
    assert (await reserve(client, by(ada, made), event)).status_code == 201
    now = time.monotonic()
    monkeypatch.setattr(api_keys, "time", SimpleNamespace(monotonic=lambda: now + KNOWN_SECONDS))
    problem_of(await reserve(client, by(ada, made), event), 401, "not-authenticated")


async def test_a_key_is_over_in_time_also_where_it_is_known(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    tomorrow = instant(TOMORROW)
    made = await new_key(client, ada, expires_at=tomorrow)
    assert made["expires_at"] == tomorrow
    event = await new_event(client, ada, total_tickets=9_999, max_per_buyer=9_999)
    await as_owner(app, "UPDATE api_keys SET expires_at = clock_timestamp() + interval '1 second'")
    for _ in range(1_000):
        answered = await reserve(client, by(ada, made), event)
        if answered.status_code != 201:
            break
        await asyncio.sleep(0.01)
    problem_of(answered, 401, "not-authenticated")
    assert len((await client.get("/auth/api-keys", headers=ada.headers)).json()["items"]) == 1
    await as_owner(app, "UPDATE api_keys SET expires_at = expires_at - interval '31 days'")
    async with await connect(app.state.services.config.box_office, role=WORKER_ROLE) as connection:
        await EndedLogins().work(connection)
    assert (await client.get("/auth/api-keys", headers=ada.headers)).json() == {"items": []}


async def test_it_is_noted_now_and_then_that_a_key_is_used(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    program = by(ada, await new_key(client, ada))

    async def used_after(moment: Any) -> Any:
        for _ in range(500):
            ((used_at,),) = await as_owner(app, "SELECT last_used_at FROM api_keys")
            if used_at is not None and used_at != moment:
                return used_at
            await asyncio.sleep(0.01)
        raise AssertionError("it was not noted")

    await client.get("/events", headers=program.headers)
    first = await used_after(None)
    for _ in range(3):
        app.state.services.api_keys._known.clear()
        await client.get("/events", headers=program.headers)
    assert await as_owner(app, "SELECT last_used_at FROM api_keys") == [(first,)]
    long_ago = first - timedelta(hours=1)
    await as_owner(app, "UPDATE api_keys SET last_used_at = %(at)s", at=long_ago)
    app.state.services.api_keys._known.clear()
    await client.get("/events", headers=program.headers)
    assert await used_after(long_ago) > first


async def test_an_account_has_so_many_keys_and_no_more(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    ada, ben = await new_account(), await new_account()
    keys = [await new_key(client, ada) for _ in range(KEYS_MAX)]
    body = {"name": "one more", "scopes": ["read"]}
    refused = await client.post("/auth/api-keys", json=body, headers=ada.headers)
    assert problem_of(refused, 409, "too-many-keys")["most"] == KEYS_MAX
    await new_key(client, ben)
    await client.delete(f"/auth/api-keys/{keys[0]['id']}", headers=ada.headers)
    await new_key(client, ada)


async def test_keys_outlive_sessions_and_go_with_their_account(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    ada = await new_account()
    here = of(ada, await begin(client, ada))
    program = by(ada, await new_key(client, here))
    await client.post("/auth/logout-everywhere", headers=here.headers)
    assert (await client.get("/auth/me", headers=program.headers)).status_code == 200
    await client.delete("/auth/me", headers=of(ada, await begin(client, ada)).headers)
    problem_of(await client.get("/auth/me", headers=program.headers), 401, "not-authenticated")
    assert await as_owner(app, "SELECT FROM api_keys") == []


async def test_keys_are_ended_with_all_sessions_where_that_is_asked_for(
    client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    ada, ben = await new_account(), await new_account()
    adas, bens = [by(account, await new_key(client, account)) for account in (ada, ben)]
    refused = await client.post("/auth/logout-everywhere?revoke_keys=perhaps", headers=ada.headers)
    assert [error["path"] for error in problem_of(refused, 422, "invalid-request")["errors"]] == ["revoke_keys"]
    problem_of(await client.post("/auth/logout-everywhere?revoke_keys=true", headers=adas.headers), 403, "not-for-keys")
    answered = await client.post("/auth/logout-everywhere?revoke_keys=true", headers=ada.headers)
    assert (answered.status_code, answered.content) == (204, b"")
    for account in (ada, adas):
        problem_of(await client.get("/auth/me", headers=account.headers), 401, "not-authenticated")
    assert (await client.get("/auth/me", headers=bens.headers)).status_code == 200


async def test_auditors_reads_by_a_key_are_kept_as_theirs(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    program = by(auditor, await new_key(client, auditor, "audit"))
    answered = await client.get("/audit/seals", headers=program.headers)
    ids = (answered.headers["x-request-id"], auditor.id)
    assert await as_owner(app, "SELECT request_id::text, account_id::text FROM audit_reads") == [ids]


class TestLimits:
    """Keys are not guessed, and who tries costs little."""

    @pytest.fixture
    def config(self, config: ApiConfig) -> ApiConfig:
        """The limits are on."""
        return replace(config, rate_limits=True)

    async def test_unknown_keys_are_limited_and_known_ones_go_on(
        self, client: httpx2.AsyncClient, new_account: LogIn
    ) -> None:
        ada = await new_account()
        program, later = by(ada, await new_key(client, ada)), by(ada, await new_key(client, ada))
        assert (await client.get("/events", headers=program.headers)).status_code == 200
        for number in range(UNKNOWN_KEYS.amount):
            guess = ada._replace(token=f"{PREFIX}{number}")
            problem_of(await client.get("/events", headers=guess.headers), 401, "not-authenticated")
        for account in (guess, later):
            problem_of(await client.get("/events", headers=account.headers), 429, "rate-limited")
        assert (await client.get("/events", headers=program.headers)).status_code == 200
        assert (await client.get("/events", headers=ada.headers)).status_code == 200
