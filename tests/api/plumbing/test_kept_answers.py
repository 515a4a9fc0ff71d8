"""Answers that are kept: nobody is told what was true before, nor anything of somebody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.app import ApiConfig, create_app
from api.express_lane import ExpressLane
from api.plumbing import kept_answers
from eventstore.postgres.connections import connect_as_owner
from projections.projector import checkpoint_watcher
from projections.rebuilding.rebuild import rebuild
from tests.api.conftest import AtOnce, LoggedIn, LogIn, problem_of
from tests.api.health.test_health import database_away
from tests.api.programme import TOMORROW, cancel, folding, instant, new_event, pay, reserved

END_LISTENERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
async def other_process(config: ApiConfig) -> AsyncIterator[httpx2.AsyncClient]:
    """Another process of the same box office: what the first records it hears of from the database alone."""
    app = create_app(config)
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(AtOnce(ExpressLane(app)))
        async with httpx2.AsyncClient(transport=transport, base_url="http://other") as client:
            yield client


@pytest.fixture
def rendered(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often an answer was rendered since it was asked last."""
    count = 0
    kept = app.state.services.kept_answers
    render = kept._rendered

    async def counted(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        return await render(*arguments)

    monkeypatch.setattr(kept, "_rendered", counted)
    # A busy machine may hear nothing for a second, and then renders again.
    monkeypatch.setattr(checkpoint_watcher, "CURRENT_SECONDS", 60.0)

    def taken() -> int:
        nonlocal count
        taken, count = count, 0
        return taken

    return taken


async def same(client: httpx2.AsyncClient, path: str, wanted: Any) -> None:
    """Whether what everybody is told becomes what somebody was told already."""
    for _ in range(500):
        if (answer := await client.get(path)).json() == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{answer.text} instead of {wanted}")


async def test_an_answer_is_rendered_once_until_what_it_shows_has_changed(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn, rendered: Callable[[], int]
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        event, other = await new_event(client, buyer, total_tickets=9, max_per_buyer=9), await new_event(client, buyer)
        path = f"/events/{event['id']}"
        await same(client, path, event)
        rendered()
        for _ in range(5):
            await client.get(path)
            await client.get(path, headers=buyer.headers)
        assert rendered() == 0
        for quantity in (1, 2):
            await reserved(client, buyer, event, quantity=quantity)
            answer = await client.get(path, headers=buyer.headers)
            assert rendered() == 1
            assert answer.json()["ticket_types"][0]["reserved"] == 2 * quantity - 1
        await reserved(client, buyer, other)
        assert (await client.get(path, headers=buyer.headers)).content == answer.content
        assert rendered() == 0


async def test_whatever_changes_an_event_is_seen_by_who_wrote_it_at_once_and_by_all_soon(
    client: httpx2.AsyncClient, other_process: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    organiser, buyer = await new_account(), await new_account()
    async with folding(database_url):
        event = await new_event(client, organiser, total_tickets=5, max_per_buyer=5)
        path = f"/events/{event['id']}"
        change = {"title": "Another", "total_tickets": 7, "starts_at": instant(TOMORROW + timedelta(hours=1))}
        reservation = await reserved(client, buyer, event)

        async def reserve_again() -> None:
            await reserved(client, buyer, event)

        steps: list[Callable[[], Any]] = [
            lambda: client.patch(path, json=change, headers=organiser.headers),
            lambda: pay(client, buyer, reservation),
            reserve_again,
            lambda: cancel(client, buyer, "reservations", reservation),
            lambda: cancel(client, organiser, "events", event),
        ]
        for step in steps:
            before = (await client.get(path, headers=buyer.headers)).json()
            await same(other_process, path, before)
            await step()
            after = (await client.get(path, headers=buyer.headers)).json()
            assert after != before
            assert (await other_process.get(path, headers=buyer.headers)).json() == after
            for process in (client, other_process):
                await same(process, path, after)
                listed = (await process.get("/events")).json()["items"]
                shown = [after] if after["status"] == "scheduled" else []
                assert [one | {"description": after["description"]} for one in listed] == shown


async def test_of_many_who_ask_for_what_has_changed_one_has_it_rendered(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn, rendered: Callable[[], int]
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        event = await new_event(client, buyer)
        await same(client, f"/events/{event['id']}", event)
        await reserved(client, buyer, event)
        rendered()
        answers = await asyncio.gather(*(client.get(f"/events/{event['id']}") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert rendered() <= 2


async def test_when_the_rendering_fails_nobody_waits_for_another_one(app: FastAPI) -> None:
    begun, go_on = 0, asyncio.Event()

    async def fails(_: object) -> bytes:
        nonlocal begun
        begun += 1
        if begun > 1:
            await go_on.wait()
        await asyncio.sleep(0)
        raise LookupError

    asking = [asyncio.create_task(app.state.services.kept_answers.get("one", fails)) for _ in range(5)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert begun == 5
    go_on.set()
    assert [type(error) for error in await asyncio.gather(*asking, return_exceptions=True)] == [LookupError] * 5


async def test_an_event_that_is_not_there_is_looked_for_each_time(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    organiser = await new_account()
    event = await new_event(client, organiser)
    problem_of(await client.get(f"/events/{event['id']}"), 404, "event-not-found")
    async with folding(database_url):
        await same(client, f"/events/{event['id']}", event)


async def test_who_has_a_token_is_answered_in_private_and_not_once_the_account_is_gone(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    organiser, leaver = await new_account(), await new_account()
    async with folding(database_url):
        event = await new_event(client, organiser)
        for path in (f"/events/{event['id']}", "/events"):
            await client.get(path, headers=organiser.headers)
            anybody, known = await client.get(path), await client.get(path, headers=leaver.headers)
            assert anybody.content == known.content
            assert (anybody.headers["cache-control"], known.headers["cache-control"]) == (
                "public, max-age=1",
                "no-store",
            )
        assert (await client.delete("/auth/me", headers=leaver.headers)).is_success
        for path in (f"/events/{event['id']}", "/events", "/reservations"):
            assert (await client.get(path, headers=leaver.headers)).status_code == 401


async def test_nobody_is_told_of_another_buyers_reservations(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    buyers = [await new_account() for _ in range(2)]
    async with folding(database_url):
        event = await new_event(client, buyers[0], total_tickets=50, max_per_buyer=20)
        own = [[await reserved(client, buyer, event) for _ in range(3)] for buyer in buyers]

        async def look(buyer: LoggedIn, reservations: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
            listed = await client.get("/reservations", headers=buyer.headers)
            assert listed.json()["items"] == reservations[::-1]
            one = await client.get(f"/reservations/{reservations[0]['id']}", headers=buyer.headers)
            assert one.json() == reservations[0]
            foreign = await client.get(f"/reservations/{others[0]['id']}", headers=buyer.headers)
            problem_of(foreign, 404, "not-found")

        # So many at once that their statements go in the same trips.
        await asyncio.gather(*(look(buyers[n % 2], own[n % 2], own[(n + 1) % 2]) for n in range(20)))


async def test_a_rebuild_in_between_is_no_reason_to_tell_what_was_true_before(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        event = await new_event(client, buyer)
        path = f"/events/{event['id']}"
        await client.get(path, headers=buyer.headers)
        await same(client, path, event)
    # What is folded anew is right; the tables that it replaces were not.
    async with await connect_as_owner(database_url) as owner:
        await owner.execute("UPDATE events SET title = 'Forged'")
    await rebuild(database_url, lambda _: None, lambda _: None, 10)
    async with folding(database_url):
        await reserved(client, buyer, event)
        told = (await client.get(path, headers=buyer.headers)).json()
        assert (told["title"], told["ticket_types"][0]["reserved"]) == (event["title"], 1)
        await same(client, path, told)


async def test_another_server_whose_tables_are_older_is_believed(
    app: FastAPI, client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    """After a fail-over to a standby that had not yet been told all."""
    organiser = await new_account()
    async with folding(database_url):
        event = await new_event(client, organiser)
        path = f"/events/{event['id']}"
        changed = (await client.patch(path, json={"title": "Later lost"}, headers=organiser.headers)).json()
        await client.get(path, headers=organiser.headers)
        await same(client, path, changed)
    async with await connect_as_owner(database_url) as owner:
        await owner.execute("UPDATE events SET title = 'As before', position = 1")
        await owner.execute("UPDATE checkpoint SET position = 1, recent_changes = NULL")
        await owner.execute(END_LISTENERS)
    await same(client, path, changed | {"title": "As before"})


async def test_while_the_checkpoint_is_not_heard_of_nothing_kept_is_told(
    app: FastAPI,
    client: httpx2.AsyncClient,
    database_url: str,
    new_account: LogIn,
    rendered: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        event = await new_event(client, buyer)
        path = f"/events/{event['id']}"
        await client.get(path, headers=buyer.headers)
        await same(client, path, event)
        rendered()
        # As if the watcher's connection were silent: it has heard, and a second has passed.
        monkeypatch.setattr(checkpoint_watcher, "CURRENT_SECONDS", 0.0)
        for _ in range(2):
            assert (await client.get(path)).json() == event
        assert rendered() == 2


async def test_without_the_database_what_was_kept_is_not_told_for_long(
    app: FastAPI, client: httpx2.AsyncClient, database_url: str, server_url: str, new_account: LogIn
) -> None:
    buyer = await new_account()
    async with folding(database_url):
        event = await new_event(client, buyer)
        path = f"/events/{event['id']}"
        await client.get(path, headers=buyer.headers)
        await same(client, path, event)
    with database_away(database_url, server_url):
        for _ in range(300):
            if (answer := await client.get(path)).status_code != 200:
                break
            await asyncio.sleep(0.01)
        problem_of(answer, 503, "database-away")
    await same(client, path, event)


async def test_memory_for_answers_is_bounded(
    app: FastAPI,
    client: httpx2.AsyncClient,
    database_url: str,
    new_account: LogIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept_answers, "KEPT_BYTES_MAX", 3_000)
    organiser, kept = await new_account(), app.state.services.kept_answers
    async with folding(database_url):
        events = [await new_event(client, organiser) for _ in range(10)]
        for event in events:
            assert (await client.get(f"/events/{event['id']}", headers=organiser.headers)).json() == event
        assert 0 < kept._bytes == sum(len(one.body) for one in kept._kept.values()) <= 3_000
        newest = await client.get(f"/events/{events[-1]['id']}")
        assert newest.json() == events[-1]
