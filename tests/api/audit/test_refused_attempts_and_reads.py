"""Refused attempts and recorded reads over HTTP: filtered, in pages, and each look recorded as well."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.http import cursors
from tests.api.audit.test_recorded_access import database_now, reads
from tests.api.conftest import LoggedIn, problem_of
from tests.api.programme import UNKNOWN_ID, an_auditor, crowd, new_event, pay, reserve, reserved

ATTEMPTS, READS = "/audit/refused-attempts", "/audit/reads"


async def items(
    client: httpx2.AsyncClient, auditor: LoggedIn, path: str, limit: int = 200, **filters: Any
) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found: list[dict[str, Any]] = []
    query = {"limit": limit, **filters}
    while True:
        answered = await client.get(path, params=query, headers=auditor.headers)
        assert answered.status_code == 200, answered.text
        found += answered.json()["items"]
        if answered.json()["next_cursor"] is None:
            return found
        query["cursor"] = answered.json()["next_cursor"]


async def test_what_was_refused_is_listed_by_each_filter(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann, ben = await crowd(app, 3)
    event, other = await new_event(client, organiser, total_tickets=1), await new_event(client, organiser)
    anns = await reserved(client, ann, event)
    began = await database_now(app)
    problems = [
        problem_of(await reserve(client, ben, event), 409, "sold-out"),
        problem_of(await pay(client, ben, anns), 404, "not-found"),
    ]
    between = await database_now(app)
    await reserved(client, ann, other)
    problems.append(problem_of(await reserve(client, ann, other), 409, "limit-per-buyer"))
    sold_out, not_found, limit = told = await items(client, auditor, ATTEMPTS, limit=1)
    assert [one["request_id"] for one in told] == [problem["request_id"] for problem in problems]
    assert sold_out.items() >= {
        "account_id": ben.id, "event_id": event["id"], "command": "ReserveTickets", "code": "sold-out",
        "facts": {name: problems[0][name] for name in sold_out["facts"]}, "quantity": 1, "capacity": 1, "reserved": 1,
        "paid": 0, "reservation_id": None, "last_kept": False,
    }.items()  # fmt: skip
    for filters, meant in (
        ({"event_id": event["id"]}, [sold_out, not_found]),
        ({"event_id": event["id"], "code": "not-found"}, [not_found]),
        ({"reservation_id": anns["id"]}, [not_found]),
        ({"account_id": ann.id}, [limit]),
        ({"code": "sold-out"}, [sold_out]),
        ({"from": between}, [limit]),
        ({"from": began, "to": between, "account_id": ben.id}, [sold_out, not_found]),
        ({"event_id": UNKNOWN_ID}, []),
    ):
        assert await items(client, auditor, ATTEMPTS, limit=1, **filters) == meant, filters


async def test_who_has_read_what_is_listed_and_each_look_is_one_more(client: httpx2.AsyncClient, app: FastAPI) -> None:
    ada, eve = await an_auditor(app), await an_auditor(app, "admin")
    (ann,) = await crowd(app, 1)
    for account, path in ((ada, f"/audit/accounts?id=%3{ann.id}"), (eve, f"/audit/accounts?email={ann.email}")):
        await client.get(path.replace(f"%3{ann.id}", ann.id.replace("-", "%2D").upper()), headers=account.headers)
    between = await database_now(app)
    await client.get("/audit/seals", headers=eve.headers)
    told = await items(client, ada, READS)
    assert [(one["request_id"], one["auditor_id"], one["what"]) for one in told] == await reads(app)
    assert [one["what"] for one in told] == [
        f"/audit/accounts?id={ann.id.upper()}", f"/audit/accounts?email=(of {ann.id})", "/audit/seals",
        f"{READS}?limit=200",
    ]  # fmt: skip
    assert await items(client, ada, READS, limit=1, auditor_id=eve.id) == told[1:3]
    assert await items(client, ada, READS, limit=1, about=ann.id, to=between) == told[:2]
    assert await items(client, ada, READS, auditor_id=eve.id, **{"from": between}) == told[2:3]
    assert await items(client, ada, READS, auditor_id=ann.id) == []


async def test_a_page_of_wide_items_ends_early_and_the_next_goes_on(
    client: httpx2.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor = await an_auditor(app)
    organiser, ann = await crowd(app, 2)
    event = await new_event(client, organiser, total_tickets=1)
    for _ in range(4):
        await reserve(client, ann, event)
    until = await database_now(app)
    wholes = [await items(client, auditor, path, to=until) for path in (ATTEMPTS, READS)]
    monkeypatch.setattr(cursors, "LARGEST_PAGE_BYTES", 500)
    for path, whole in zip((ATTEMPTS, READS), wholes, strict=True):
        assert await items(client, auditor, path, to=until) == whole


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (ATTEMPTS, {"code": "sold"}),
        (ATTEMPTS, {"event_id": "7"}),
        (ATTEMPTS, {"from": "yesterday"}),
        (ATTEMPTS, {"to": "2030-05-01"}),
        (ATTEMPTS, {"since": "2030-05-01T19:30:00Z"}),
        (ATTEMPTS, {"limit": "0"}),
        (ATTEMPTS, {"cursor": "abc"}),
        (READS, {"auditor_id": "ada"}),
        (READS, {"about": "/audit/seals"}),
        (READS, {"cursor": "abc"}),
    ],
)
async def test_a_filter_that_can_not_be_meant_is_refused(
    client: httpx2.AsyncClient, app: FastAPI, path: str, wrong: dict[str, str]
) -> None:
    auditor = await an_auditor(app)
    problem = problem_of(await client.get(path, params=wrong, headers=auditor.headers), 422, "invalid-request")
    assert [error["path"] for error in problem["errors"]] == list(wrong)
    assert await reads(app) == []
