"""Who may read for the audit, and that each reading is kept; past moments and seals over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import jwt
from fastapi import FastAPI

from eventstore.postgres.connections import WORKER_ROLE, connect
from eventstore.reading import rows_after
from eventstore.seals import merkle, seals
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import (
    UNKNOWN_ID,
    an_auditor,
    cancel,
    crowd,
    instant,
    new_event,
    pay,
    reserved,
    set_roles,
    ticket_type,
)

PATHS = [
    f"/audit/accounts?id={UNKNOWN_ID}",
    "/audit/domain-events",
    f"/audit/events/{UNKNOWN_ID}/as-of?position=0",
    f"/audit/events/{UNKNOWN_ID}/buyers/{UNKNOWN_ID}",
    f"/audit/events/{UNKNOWN_ID}/story",
    "/audit/reads",
    f"/audit/refused-attempts?event_id={UNKNOWN_ID}",
    f"/audit/reservations/{UNKNOWN_ID}",
    "/audit/seals?limit=3",
]
REFUSE_READS = """
CREATE FUNCTION cancel_query() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'not now' USING ERRCODE = 'query_canceled';
END $$;
CREATE TRIGGER cancelled BEFORE INSERT ON audit_reads FOR EACH STATEMENT EXECUTE FUNCTION cancel_query();
"""
READS = "SELECT request_id::text, account_id::text, what FROM audit_reads ORDER BY read_at"


async def reads(app: FastAPI) -> list[tuple[Any, ...]]:
    """All that was kept of who has read what."""
    async with app.state.services.pool.connection() as connection:
        return list(await (await connection.execute(READS)).fetchall())


async def database_now(app: FastAPI) -> str:
    async with app.state.services.pool.connection() as connection:
        ((now,),) = await (await connection.execute("SELECT clock_timestamp()")).fetchall()
        return instant(now)


async def test_auditors_and_admins_read_and_nobody_else(client: httpx2.AsyncClient, app: FastAPI) -> None:
    expected = []
    for path in PATHS:
        problem_of(await client.get(path), 401, "not-authenticated")
        analyst, (buyer,) = await an_auditor(app, "analyst"), await crowd(app, 1)
        for account in (analyst, buyer):
            problem = problem_of(await client.get(path, headers=account.headers), 403, "forbidden")
            assert "tixxety grant" in problem["detail"]
        for role in ("auditor", "admin"):
            account = await an_auditor(app, role)
            answered = await client.get(path, headers=account.headers)
            assert answered.status_code in (200, 404)
            shape = "?accept=application/json" if path == "/audit/domain-events" else ""
            expected.append((answered.headers["x-request-id"], account.id, path + shape))
    assert await reads(app) == expected


async def test_it_is_kept_how_much_was_read_at_once(client: httpx2.AsyncClient, app: FastAPI) -> None:
    account, path = await an_auditor(app), f"/audit/domain-events?event_id={UNKNOWN_ID}"
    for accept in ("application/x-ndjson", "application/cloudevents-batch+json;q=0.9", "text/html"):
        assert (await client.get(path, headers=account.headers | {"Accept": accept})).status_code == 200
    assert [what for _, _, what in await reads(app)] == [
        f"{path}&accept=application/x-ndjson",
        f"{path}&accept=application/cloudevents-batch%2Bjson",
        f"{path}&accept=application/json",
    ]


async def test_a_role_counts_as_long_as_it_is_granted(client: httpx2.AsyncClient, app: FastAPI) -> None:
    (account,) = await crowd(app, 1)
    for path in PATHS:
        await set_roles(app, account, "auditor")
        assert (await client.get(path, headers=account.headers)).status_code in (200, 404)
        await set_roles(app, account)
        problem_of(await client.get(path, headers=account.headers), 403, "forbidden")
    assert len(await reads(app)) == len(PATHS)


async def test_a_deleted_auditor_reads_no_more(client: httpx2.AsyncClient, app: FastAPI) -> None:
    account = await an_auditor(app)
    assert (await client.delete("/auth/me", headers=account.headers)).status_code == 204
    for path in PATHS:
        problem_of(await client.get(path, headers=account.headers), 401, "not-authenticated")
    assert await reads(app) == []


async def test_what_can_not_be_kept_is_not_read(client: httpx2.AsyncClient, app: FastAPI) -> None:
    account = await an_auditor(app)
    async with app.state.services.pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(REFUSE_READS)
        await connection.execute("SET ROLE tixxety_app")
    for path in PATHS:
        problem_of(await client.get(path, headers=account.headers), 503, "database-away")


async def test_the_role_is_granted_by_an_operator_and_counts_at_once(
    client: httpx2.AsyncClient, database_url: str, new_account: LogIn
) -> None:
    from accounts.roles import grant

    account = await new_account()
    problem_of(await client.get("/audit/seals", headers=account.headers), 403, "forbidden")
    await grant(database_url, account.email, "auditor")
    assert (await client.get("/audit/seals", headers=account.headers)).status_code == 200


async def test_every_audit_route_keeps_who_reads(app: FastAPI) -> None:
    routes = {path for path in app.openapi()["paths"] if path.startswith("/audit")}
    assert len(routes) == len(PATHS)


async def test_a_request_that_is_not_understood_is_not_kept(client: httpx2.AsyncClient, app: FastAPI) -> None:
    account = await an_auditor(app)
    event_id = uuid4()
    for query in ("", "?at=2030-01-01T00:00:00Z&position=1", "?at=2030-01-01T00:00:00", "?position=first", "?when=now"):
        answered = await client.get(f"/audit/events/{event_id}/as-of{query}", headers=account.headers)
        problem_of(answered, 422, "invalid-request")
    assert await reads(app) == []


async def test_an_event_is_shown_as_it_was(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann, ben = await crowd(app, 3)
    event = await new_event(client, organiser, ticket_types=[ticket_type("Standing"), ticket_type("Seated", 5)])
    standing, seated = (one["id"] for one in event["ticket_types"])
    anns = await reserved(client, ann, event, ticket_type_id=standing)
    before_paying = await database_now(app)
    assert (await pay(client, ann, anns)).status_code == 200
    bens = await reserved(client, ben, event, ticket_type_id=seated)
    assert (await cancel(client, organiser, "events", event)).status_code == 200
    path = f"/audit/events/{event['id']}/as-of"

    async def shown(**when: Any) -> dict[str, Any]:
        answered = await client.get(path, params=when, headers=auditor.headers)
        assert answered.status_code == 200, answered.text
        return dict(answered.json())

    created = await shown(position=1)
    plain = {name: event[name] for name in event.keys() - {"ticket_types", "on_sale", "on_sale_changes_at"}}
    assert created == {
        "position": 1,
        "at": event["created_at"],
        "event": plain,
        "ticket_types": event["ticket_types"],
        "holds": [],
    }
    held = await shown(at=before_paying)
    assert held == await shown(position=3) == await shown(position=4)
    assert [(one["reserved"], one["paid"], one["available"]) for one in held["ticket_types"]] == [(1, 0, 9), (0, 0, 5)]
    assert held["holds"] == [
        {
            "reservation_id": anns["id"],
            "buyer_id": ann.id,
            "ticket_type_id": standing,
            "quantity": 1,
            "hold_expires_at": anns["hold_expires_at"],
        }
    ]
    now = await shown(at=await database_now(app))
    assert now["event"]["status"] == "cancelled"
    assert [(one["reserved"], one["paid"]) for one in now["ticket_types"]] == [(0, 1), (1, 0)]
    assert [one["reservation_id"] for one in now["holds"]] == [bens["id"]]


async def test_moments_that_nobody_can_know_are_refused(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    (organiser,) = await crowd(app, 1)
    event = await new_event(client, organiser)

    async def asked(event_id: Any, **when: Any) -> httpx2.Response:
        return await client.get(f"/audit/events/{event_id}/as-of", params=when, headers=auditor.headers)

    tomorrow = instant(datetime.now(UTC) + timedelta(days=1))
    assert problem_of(await asked(event["id"], at=tomorrow), 422, "in-the-future")["asked_at"] == tomorrow
    assert problem_of(await asked(event["id"], position=2), 422, "beyond-the-end")["last_position"] == 1
    early = problem_of(await asked(event["id"], at="2020-01-01T00:00:00Z"), 404, "event-not-created-yet")
    assert (early["position"], early["created_at"]) == (1, event["created_at"])
    problem_of(await asked(uuid4(), position=1), 404, "event-not-found")
    problem_of(await asked("concert", position=1), 404, "not-found")


async def test_the_seals_can_be_checked_with_the_answer_alone(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    (organiser,) = await crowd(app, 1)
    async with (
        app.state.services.pool.connection() as connection,
        await connect(app.state.services.config.box_office, role=WORKER_ROLE) as worker,
    ):
        for _ in range(3):
            await new_event(client, organiser)
            await seals.seal_next(worker)
        rows = await rows_after(connection, 1, 1)
    first = (await client.get("/audit/seals", params={"limit": 2}, headers=auditor.headers)).json()
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = (await client.get("/audit/seals", params=query, headers=auditor.headers)).json()
    assert second["next_cursor"] is None
    listed = first["items"] + second["items"]
    assert [seal["number"] for seal in listed] == [1, 2, 3]
    keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(first["keys"]).keys}
    for seal in listed:
        said = jwt.decode(seal["jws"], keys[seal["kid"]], algorithms=["EdDSA"])
        assert said.items() >= {name: seal[name] for name in ("number", "first_position", "last_position")}.items()
        assert said["sealed_at"] == seal["sealed_at"]
    assert (
        merkle.root_hash([merkle.leaf_hash(rows[0])]).hex()
        == jwt.decode(listed[1]["jws"], keys[listed[1]["kid"]], algorithms=["EdDSA"])["root_sha256"]
    )
    problem_of(await client.get("/audit/seals?cursor=x", headers=auditor.headers), 422, "invalid-request")
