"""One account can't starve the others, nor fill the history: it alone is told so, and buying is not hindered."""

import asyncio
from collections import Counter
from dataclasses import replace
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from api.app import ApiConfig
from api.http.errors import RecordedTooMuch, TooManyAtOnce
from api.plumbing import account_quotas
from api.plumbing.account_quotas import COMMANDS_AT_ONCE as AT_ONCE
from api.plumbing.account_quotas import REFUSALS_A_SECOND, WAITING_MAX, RecordedBytes, Turns
from eventstore.postgres.connections import connect
from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import an_auditor, cancel, crowd, folding, new_event, pay, reserve, reserved
from tests.box_office import lock_event, unlock

MOST = AT_ONCE + WAITING_MAX


@pytest.fixture
def config(config: ApiConfig) -> ApiConfig:
    """With the limits that a box office has by itself."""
    return replace(config, rate_limits=True)


@pytest.fixture
async def greedy(app: FastAPI) -> LoggedIn:
    return (await crowd(app, 1))[0]


@pytest.fixture
async def buyer(app: FastAPI) -> LoggedIn:
    return (await crowd(app, 1))[0]


def refuse_all(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on everybody has too much under way."""
    app.state.services.read_turns.at_once = app.state.services.commands.turns.at_once = 0
    monkeypatch.setattr(account_quotas, "WAITING_MAX", 0)


async def test_whoever_has_too_much_under_way_is_told_so_alone(
    client: httpx2.AsyncClient, greedy: LoggedIn, buyer: LoggedIn, database_url: str
) -> None:
    event = await new_event(client, buyer, total_tickets=200, max_per_buyer=200)
    async with await connect(database_url) as other:
        await lock_event(other, UUID(event["id"]))
        asked = [asyncio.create_task(reserve(client, greedy, event)) for _ in range(MOST + 10)]
        refused = [await answer for answer in asyncio.as_completed(asked[MOST:])]
        for answer in refused:
            problem = problem_of(answer, 429, "too-many-at-once")
            assert (problem["limit"], answer.headers["retry-after"]) == (MOST, "1")
        bought = asyncio.create_task(reserve(client, buyer, event))
        await unlock(other)
        assert (await bought).status_code == 201
    assert {answer.status_code for answer in await asyncio.gather(*asked[:MOST])} == {201}
    await reserved(client, greedy, event)


async def test_the_bound_holds_for_every_command_and_look_up(
    app: FastAPI, client: httpx2.AsyncClient, greedy: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await new_event(client, greedy)
    reservation = await reserved(client, greedy, event)
    refuse_all(app, monkeypatch)
    body = {"title": f"Concert {uuid4()}"}
    for answer in (
        await client.post("/events", json={**event_of(event), **body}, headers=greedy.headers),
        await client.patch(f"/events/{event['id']}", json=body, headers=greedy.headers),
        await cancel(client, greedy, "events", event),
        await reserve(client, greedy, event),
        await pay(client, greedy, reservation),
        await cancel(client, greedy, "reservations", reservation),
        await client.get("/reservations", headers=greedy.headers),
        await client.get("/events", params={"q": "concert"}, headers=greedy.headers),
    ):
        problem_of(answer, 429, "too-many-at-once")


def event_of(event: dict[str, str]) -> dict[str, object]:
    return {"starts_at": event["starts_at"], "ends_at": event["ends_at"], "total_tickets": 1}


async def test_turns_are_taken_in_order_and_forgotten_when_all_have_ended() -> None:
    turns, account, order = Turns(AT_ONCE), uuid4(), []

    async def take(number: int) -> None:
        await turns.begin(account)
        order.append(number)
        await asyncio.sleep(0)
        turns.end(account)

    await asyncio.gather(*(take(number) for number in range(MOST)))
    assert order == list(range(MOST))
    assert (turns._under_way, turns._waiting) == ({}, {})


async def test_who_gives_up_waiting_keeps_no_turn() -> None:
    turns, account = Turns(AT_ONCE), uuid4()
    for _ in range(AT_ONCE):
        await turns.begin(account)
    leaving, given_and_leaving, staying = (asyncio.create_task(turns.begin(account)) for _ in range(3))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    turns.end(account)
    given_and_leaving.cancel()
    await asyncio.wait([given_and_leaving])
    await staying
    for _ in range(AT_ONCE):
        turns.end(account)
    assert (turns._under_way, turns._waiting) == ({}, {})
    await turns.begin(uuid4())


async def test_refusals_of_one_account_are_paced_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, account = Turns(0), uuid4()
    monkeypatch.setattr(account_quotas, "WAITING_MAX", 0)
    monkeypatch.setattr(account_quotas, "HELD_BACK_MAX", REFUSALS_A_SECOND)
    clock = asyncio.get_running_loop().time
    began = clock()
    refused = await asyncio.gather(*(turns.begin(account) for _ in range(REFUSALS_A_SECOND)), return_exceptions=True)
    assert {type(one) for one in refused} == {TooManyAtOnce}
    assert clock() - began > 0.9
    began = clock()
    with pytest.raises(TooManyAtOnce):
        await turns.begin(uuid4())
    assert clock() - began < 0.9


async def test_changes_that_fill_the_history_end_and_what_was_begun_does_not(
    client: httpx2.AsyncClient, greedy: LoggedIn, buyer: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await new_event(client, greedy, total_tickets=20, max_per_buyer=20)
    held = [await reserved(client, greedy, event) for _ in range(2)]
    monkeypatch.setattr(account_quotas, "RECORDED_BYTES_A_MINUTE", 100_000)
    path = f"/events/{event['id']}"
    changes = [{"description": chr(97 + place) * 9_900} for place in range(20)]
    answers = [await client.patch(path, json=change, headers=greedy.headers) for change in changes]
    assert Counter(answer.status_code for answer in answers) == {200: 10, 429: 10}
    problem = problem_of(answers[-1], 429, "rate-limited")
    assert 1 <= problem["retry_after_seconds"] <= 61
    assert answers[-1].headers["retry-after"] == str(problem["retry_after_seconds"])
    problem_of(await reserve(client, greedy, event), 429, "rate-limited")
    assert (await pay(client, greedy, held[0])).status_code == 200
    assert (await cancel(client, greedy, "reservations", held[1])).status_code == 200
    assert (await cancel(client, greedy, "events", event)).status_code == 200
    other = await new_event(client, buyer)
    assert (await reserve(client, buyer, other)).status_code == 201


async def test_looks_that_are_kept_for_ever_count(
    app: FastAPI, client: httpx2.AsyncClient, greedy: LoggedIn, buyer: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, other = await new_event(client, greedy), await new_event(client, buyer)
    monkeypatch.setattr(account_quotas, "RECORDED_BYTES_A_MINUTE", 5_000)
    path = f"/events/{event['id']}/reservations"
    async with folding(app.state.services.config.box_office):
        answers = [await client.get(path, headers=greedy.headers) for _ in range(30)]
        others = await client.get(f"/events/{other['id']}/reservations", headers=buyer.headers)
    told = Counter(answer.status_code for answer in answers)
    assert told.keys() == {200, 429}
    problem_of(answers[-1], 429, "rate-limited")
    async with app.state.services.pool.connection() as connection:
        counted = await connection.execute("SELECT count(*) FROM audit_reads")
        assert await counted.fetchall() == [(told[200] + 1,)]
    assert others.status_code == 200


async def test_looks_of_auditors_count_as_well(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = await an_auditor(app)
    monkeypatch.setattr(account_quotas, "RECORDED_BYTES_A_MINUTE", 1_000)
    answers = [await client.get("/audit/seals", headers=auditor.headers) for _ in range(10)]
    problem_of(answers[-1], 429, "rate-limited")


async def test_what_records_nothing_does_not_count(
    client: httpx2.AsyncClient, greedy: LoggedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await new_event(client, greedy, description="a" * 9_900)
    monkeypatch.setattr(account_quotas, "RECORDED_BYTES_A_MINUTE", 30_000)
    for _ in range(10):
        same = await client.patch(f"/events/{event['id']}", json={"title": event["title"]}, headers=greedy.headers)
        assert same.status_code == 200


def test_a_thousand_tickets_in_a_minute_are_no_abuse() -> None:
    recorded, account = RecordedBytes(), uuid4()
    for _ in range(1_000):
        recorded.check(account)
        recorded.add(account, 1_200)


def test_accounts_are_forgotten_before_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_quotas, "REMEMBERED_ACCOUNTS", 100)
    recorded, greedy = RecordedBytes(), uuid4()
    recorded.check(greedy)
    recorded.add(greedy, account_quotas.RECORDED_BYTES_A_MINUTE)
    for _ in range(1_000):
        recorded.add(uuid4(), 600)
    assert len(recorded._bytes) <= 101
    with pytest.raises(RecordedTooMuch):
        recorded.check(greedy)


async def test_an_account_that_was_deleted_learns_no_more_than_before(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await new_account()
    event = await new_event(client, await new_account())
    assert (await client.delete("/auth/me", headers=gone.headers)).status_code == 204
    problem_of(await reserve(client, gone, event), 401, "not-authenticated")
    refuse_all(app, monkeypatch)
    problem_of(await reserve(client, gone, event), 429, "too-many-at-once")
