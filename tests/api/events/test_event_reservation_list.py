"""An organiser sees who has bought: filters, pages, exports, and that each look is on record."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx2
import pytest
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import (
    UNKNOWN_ID,
    an_auditor,
    folding,
    new_event,
    pay,
    reserved,
    ticket_type,
)

READS = "SELECT account_id::text, what FROM audit_reads WHERE request_id = %(request_id)s"
COUNT_READS = "SELECT count(*) FROM audit_reads"


@pytest.fixture
def app(shared_app: FastAPI) -> FastAPI:
    """One for all tests here."""
    return shared_app


@pytest.fixture(scope="module", autouse=True)
async def _projections(shared_app: FastAPI) -> AsyncIterator[None]:
    async with folding(shared_app.state.services.config.box_office):
        yield


class Sold(NamedTuple):
    """An event with three reservations, the oldest first: Ann's two of the stalls are paid."""

    organiser: LoggedIn
    event: dict[str, Any]
    buyers: list[LoggedIn]
    bought: list[dict[str, Any]]

    @property
    def path(self) -> str:
        return f"/events/{self.event['id']}/reservations"

    @property
    def ids(self) -> list[str]:
        return [reservation["id"] for reservation in self.bought]


async def sold(client: httpx2.AsyncClient, new_account: LogIn) -> Sold:
    organiser = await new_account()
    buyers = [await new_account(name=name) for name in ("Ann", "=HYPERLINK(1)", 'Cleo, "the" third')]
    offers = [ticket_type("Stalls"), ticket_type("Gallery")]
    event = await new_event(client, organiser, ticket_types=offers, max_per_buyer=2)
    types = [offer["id"] for offer in event["ticket_types"]]
    bought = [await reserved(client, buyers[0], event, ticket_type_id=types[0], quantity=2)]
    bought.append(await reserved(client, buyers[1], event, ticket_type_id=types[0]))
    bought.append(await reserved(client, buyers[2], event, ticket_type_id=types[1]))
    bought[0] = (await pay(client, buyers[0], bought[0], "+49 30")).json()
    return Sold(organiser, event, buyers, bought)


async def asked(
    client: httpx2.AsyncClient, at: Sold, accept: str = "application/json", **params: Any
) -> httpx2.Response:
    response = await client.get(at.path, params=params, headers=at.organiser.headers | {"Accept": accept})
    assert response.status_code == 200, response.text
    return response


async def ids(client: httpx2.AsyncClient, at: Sold, **params: Any) -> list[str]:
    return [item["id"] for item in (await asked(client, at, **params)).json()["items"]]


async def test_all_are_listed_newest_first_with_who_has_bought(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    at = await sold(client, new_account)
    page = (await asked(client, at)).json()
    assert page["next_cursor"] is None
    expected = [
        reservation | {"buyer_id": buyer.id, "buyer_name": name, "buyer_email": buyer.email}
        for reservation, buyer, name in zip(
            at.bought, at.buyers, ("Ann", "=HYPERLINK(1)", 'Cleo, "the" third'), strict=True
        )
    ]
    assert page["items"] == expected[::-1]


async def test_filters_select(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    at = await sold(client, new_account)
    first, second, third = at.ids
    stalls, gallery = [offer["id"] for offer in at.event["ticket_types"]]
    assert await ids(client, at, status="paid") == [first]
    assert await ids(client, at, status="reserved") == [third, second]
    assert await ids(client, at, status="cancelled") == []
    assert await ids(client, at, ticket_type_id=stalls) == [second, first]
    assert await ids(client, at, ticket_type_id=gallery, status="reserved") == [third]
    assert await ids(client, at, buyer_id=at.buyers[1].id) == [second]
    placed_at = at.bought[1]["placed_at"]
    assert await ids(client, at, placed_from=placed_at) == [third, second]
    assert await ids(client, at, placed_before=placed_at) == [first]


async def test_pages_follow_each_other(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    at = await sold(client, new_account)
    found, cursor = [], None
    for _ in range(3):
        page = (await asked(client, at, limit=1, **({"cursor": cursor} if cursor else {}))).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (found, cursor) == (at.ids[::-1], None)
    page = (await asked(client, at, limit=1)).json()
    foreign = await client.get(
        at.path, params={"cursor": page["next_cursor"], "status": "paid"}, headers=at.organiser.headers
    )
    problem_of(foreign, 422, "invalid-request")


async def test_of_a_deleted_account_the_id_is_left(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    at = await sold(client, new_account)
    assert (await client.delete("/auth/me", headers=at.buyers[0].headers)).status_code == 204
    (item,) = (await asked(client, at, buyer_id=at.buyers[0].id)).json()["items"]
    assert (item["buyer_id"], item["buyer_name"], item["buyer_email"]) == (at.buyers[0].id, None, None)


async def test_lines_are_the_items_of_all_pages(
    client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.events.event_reservations.PART_ROWS", 2)
    at = await sold(client, new_account)
    exported = await asked(client, at, "application/x-ndjson")
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    assert exported.headers["content-disposition"] == f'attachment; filename="reservations-{at.event["id"]}.ndjson"'
    assert exported.headers["vary"] == "Accept"
    assert [json.loads(line) for line in exported.text.splitlines()] == (await asked(client, at)).json()["items"]
    paid = await asked(client, at, "application/x-ndjson", status="paid")
    assert [json.loads(line)["id"] for line in paid.text.splitlines()] == at.ids[:1]


async def test_csv_has_the_same_and_no_formulas(
    client: httpx2.AsyncClient, new_account: LogIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.events.event_reservations.PART_ROWS", 2)
    at = await sold(client, new_account)
    exported = await asked(client, at, "text/csv")
    assert exported.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    items = (await asked(client, at)).json()["items"]
    assert list(rows[0]) == list(items[0])
    quoted = {"=HYPERLINK(1)": "'=HYPERLINK(1)", "+49 30": "'+49 30"}
    for row, item in zip(rows, items, strict=True):
        assert row == {name: "" if (v := item[name]) is None else quoted.get(v, str(v)) for name in item}
    empty = await asked(client, at, "text/csv", status="expired")
    assert empty.text == ",".join(items[0]) + "\n"


async def test_an_export_has_no_pages(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    at = await sold(client, new_account)
    headers = at.organiser.headers | {"Accept": "text/csv"}
    problem = problem_of(await client.get(at.path, params={"limit": 3}, headers=headers), 422, "invalid-request")
    assert problem["errors"][0]["path"] == "limit"


async def test_each_look_is_on_record_before_it_is_answered(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    at = await sold(client, new_account)
    admin = await an_auditor(app, "admin")
    for account, accept in (
        (at.organiser, "application/json"),
        (admin, "text/csv"),
        (admin, "application/x-ndjson"),
    ):
        headers = account.headers | {"Accept": accept}
        answered = await client.get(at.path, params={"status": "paid"}, headers=headers)
        assert answered.status_code == 200
        async with app.state.services.pool.connection() as connection:
            cursor = await connection.execute(READS, {"request_id": answered.headers["x-request-id"]})
            assert await cursor.fetchall() == [(account.id, f"{at.path}?status=paid&accept={accept}")]


async def test_nobody_else_may_and_what_is_refused_is_no_look(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn
) -> None:
    at, other = await sold(client, new_account), await new_account()
    before = await only(app, COUNT_READS)
    auditor = await an_auditor(app)
    for somebody in (at.buyers[0], other, auditor):
        problem_of(await client.get(at.path, headers=somebody.headers), 403, "forbidden")
    problem_of(await client.get(at.path), 401, "not-authenticated")
    unknown = f"/events/{UNKNOWN_ID}/reservations"
    problem_of(await client.get(unknown, headers=other.headers), 404, "event-not-found")
    for params in ({"status": "lost"}, {"buyer_id": "ann"}, {"mail": "x"}, {"limit": 0}, {"placed_from": "today"}):
        answered = await client.get(at.path, params=params, headers=at.organiser.headers)
        problem_of(answered, 422, "invalid-request")
    assert await only(app, COUNT_READS) == before


async def test_an_event_without_reservations_has_an_empty_list(client: httpx2.AsyncClient, new_account: LogIn) -> None:
    organiser = await new_account()
    at = Sold(organiser, await new_event(client, organiser), [], [])
    assert (await asked(client, at)).json() == {"items": [], "next_cursor": None}
    assert (await asked(client, at, "application/x-ndjson")).content == b""


async def only(app: FastAPI, query: str) -> Any:
    async with app.state.services.pool.connection() as connection:
        ((value,),) = await (await connection.execute(query)).fetchall()
        return value
