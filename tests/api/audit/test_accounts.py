"""Auditors get from an e-mail to an id and back, and the record of it has no e-mail."""

import httpx2
from fastapi import FastAPI

from tests.api.audit.test_recorded_access import REFUSE_READS, reads
from tests.api.conftest import LogIn, problem_of
from tests.api.programme import UNKNOWN_ID, an_auditor

PATH = "/audit/accounts"


async def test_an_email_leads_to_an_id_and_an_id_to_a_person_while_the_account_lives(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    auditor = await an_auditor(app)
    ann = await new_account(email="ann@example.com", name="Ann")
    person = {"id": ann.id, "email": "ann@example.com", "name": "Ann"}
    for asked in ({"email": "ann@example.com"}, {"email": " Ann@EXAMPLE.com"}, {"id": ann.id}, {"id": ann.id.upper()}):
        answered = await client.get(PATH, params=asked, headers=auditor.headers)
        assert (answered.status_code, answered.json()) == (200, person), asked
        assert answered.headers["cache-control"] == "no-store"
    assert (await client.delete("/auth/me", headers=ann.headers)).status_code == 204
    for asked in ({"email": "ann@example.com"}, {"id": ann.id}):
        problem = problem_of(await client.get(PATH, params=asked, headers=auditor.headers), 404, "not-found")
        assert "may have been deleted" in problem["detail"]


async def test_who_was_looked_up_is_kept_without_the_email(
    client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn
) -> None:
    auditor, ann = await an_auditor(app), await new_account(email="ann@example.com")
    asked = [{"email": "ann@example.com"}, {"id": ann.id}, {"email": "ben@example.com"}, {"email": "no e-mail"}]
    for one in asked:
        assert (await client.get(PATH, params=one, headers=auditor.headers)).status_code in (200, 404)
    assert [(account_id, what) for _, account_id, what in await reads(app)] == [
        (auditor.id, f"{PATH}?email=(of {ann.id})"),
        (auditor.id, f"{PATH}?id={ann.id}"),
        (auditor.id, f"{PATH}?email=(of nobody)"),
        (auditor.id, f"{PATH}?email=(of nobody)"),
    ]


async def test_nobody_is_told_before_it_is_kept(client: httpx2.AsyncClient, app: FastAPI, new_account: LogIn) -> None:
    auditor, ann = await an_auditor(app), await new_account(email="ann@example.com")
    async with app.state.services.pool.connection() as connection:
        await connection.execute("RESET ROLE")
        await connection.execute(REFUSE_READS)
        await connection.execute("SET ROLE tixxety_app")
    for asked in ({"email": ann.email}, {"id": ann.id}, {"email": "ben@example.com"}):
        problem_of(await client.get(PATH, params=asked, headers=auditor.headers), 503, "database-away")


async def test_one_of_them_has_to_be_asked_for(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    for wrong in ({}, {"email": "ann@example.com", "id": UNKNOWN_ID}, {"email": ""}, {"id": "7"}, {"name": "Ann"}):
        problem_of(await client.get(PATH, params=wrong, headers=auditor.headers), 422, "invalid-request")
    assert await reads(app) == []
