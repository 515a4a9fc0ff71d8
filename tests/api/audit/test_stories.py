"""Stories through the API alone: every kind of refusal that a buyer can meet is in them, with its reason."""

from typing import Any
from uuid import uuid4

import httpx2
from fastapi import FastAPI

from tests.api.conftest import LoggedIn, problem_of
from tests.api.programme import (
    TOMORROW,
    UNKNOWN_ID,
    an_auditor,
    cancel,
    crowd,
    instant,
    new_event,
    pay,
    reserve,
    reserved,
    short_event,
    ticket_type,
    until,
)


async def story_of(
    client: httpx2.AsyncClient, auditor: LoggedIn, event: dict[str, Any], buyer: LoggedIn
) -> list[dict[str, Any]]:
    """What the buyer did at the event."""
    path = f"/audit/events/{event['id']}/buyers/{buyer.id}"
    answered = await client.get(path, headers=auditor.headers)
    assert answered.status_code == 200, answered.text
    story = answered.json()
    assert (story["event_id"], story["buyer_id"], story["reservation_id"]) == (event["id"], buyer.id, None)
    assert story["is_whole"]
    return list(story["entries"])


async def test_a_purchase_has_its_story_and_so_has_its_buyer(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann, ben = await crowd(app, 3)
    event = await new_event(client, organiser, ticket_types=[ticket_type("Standing", 3)], max_per_buyer=2)
    bens = await reserved(client, ben, event, quantity=2)
    anns = await reserved(client, ann, event)
    problems = [
        problem_of(await reserve(client, ann, event), 409, "sold-out"),
        problem_of(await pay(client, ben, anns), 404, "not-found"),
    ]
    assert (await pay(client, ann, anns)).status_code == 200
    problems.append(problem_of(await pay(client, ann, anns, "again"), 409, "not-payable"))
    assert (await cancel(client, ann, "reservations", anns)).status_code == 200

    answered = await client.get(f"/audit/reservations/{anns['id']}", headers=auditor.headers)
    story = answered.json()
    assert (story["event_id"], story["buyer_id"], story["reservation_id"]) == (event["id"], ann.id, anns["id"])
    assert [(entry["type"], entry["position"], entry["actor_id"]) for entry in story["entries"]] == [
        ("TicketsHeld", 5, ann.id),
        ("not-found", 5, ben.id),
        ("TicketsSold", 7, ann.id),
        ("not-payable", 7, ann.id),
        ("TicketsReleased", 9, ann.id),
    ]
    assert all(entry["counts"]["capacity"] == 3 for entry in story["entries"])
    held, *_, released = (entry["sentence"] for entry in story["entries"])
    assert held == (
        f"1 ticket of Standing was held for the buyer until {anns['hold_expires_at']}; 3 of 3 were then taken."
    )
    assert released == (
        "The buyer cancelled 1 ticket of Standing that was paid, and a refund of 25.00 EUR is due; "
        "2 of 3 were then taken."
    )
    anns_story = await story_of(client, auditor, event, ann)
    assert [entry["type"] for entry in anns_story] == [
        "TicketsHeld", "sold-out", "TicketsSold", "not-payable", "TicketsReleased"
    ]  # fmt: skip
    assert anns_story[1]["sentence"].startswith("Refused as sold-out: 3 of 3 taken since position 5; this was decided ")
    bens_story = await story_of(client, auditor, event, ben)
    assert [(entry["type"], entry["reservation_id"]) for entry in bens_story] == [
        ("TicketsHeld", bens["id"]),
        ("not-found", anns["id"]),
    ]
    kept = {entry["request_id"] for entry in anns_story + bens_story}
    assert {problem["request_id"] for problem in problems} <= kept


async def test_every_refusal_that_a_buyer_meets_is_told_with_its_reason(
    client: httpx2.AsyncClient, app: FastAPI
) -> None:
    auditor = await an_auditor(app)
    organiser, ann = await crowd(app, 2)
    both = [ticket_type("Standing", 3), ticket_type("Seated", 3)]
    event = await new_event(client, organiser, ticket_types=both, max_per_buyer=2, hold_seconds=1)
    standing = event["ticket_types"][0]["id"]
    held = await reserved(client, ann, event, ticket_type_id=standing, quantity=2, key="first")
    for more in (
        {},
        {"ticket_type_id": UNKNOWN_ID},
        {"ticket_type_id": standing},
        {"ticket_type_id": standing, "key": "first"},
    ):
        assert (await reserve(client, ann, event, **more)).status_code in (404, 409, 422)
    await until(app, held["hold_expires_at"])
    problem_of(await pay(client, ann, held), 409, "hold-expired")
    problem_of(await cancel(client, ann, "reservations", held), 409, "hold-expired")
    assert (await cancel(client, organiser, "events", event)).status_code == 200
    problem_of(await reserve(client, ann, event, ticket_type_id=standing), 409, "event-cancelled")
    told = [(entry["type"], entry["sentence"]) for entry in await story_of(client, auditor, event, ann)]
    assert [kind for kind, _ in told] == [
        "TicketsHeld", "ticket-type-required", "ticket-type-not-found", "limit-per-buyer", "idempotency-key-reused",
        "hold-expired", "hold-expired", "event-cancelled",
    ]  # fmt: skip
    reasons = [
        "none was named", "no ticket type of the id", "this account had 2", "with another request before",
        "Payment refused as hold-expired: the hold had ended at ", "Cancellation refused as hold-expired: ",
        "had been cancelled at position 4; this was decided ",
    ]  # fmt: skip
    assert [reason for reason, (_, sentence) in zip(reasons, told[1:], strict=True) if reason not in sentence] == []


async def test_windows_and_the_end_are_told_by_their_times(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann = await crowd(app, 2)
    early = await new_event(client, organiser, sales_open_at=instant(TOMORROW))
    over = await short_event(client, organiser)
    closed = await new_event(client, organiser)
    change = {"sales_close_at": closed["created_at"], "sales_open_at": "2020-01-01T00:00:00Z"}
    assert (await client.patch(f"/events/{closed['id']}", json=change, headers=organiser.headers)).status_code == 200
    await until(app, over["ends_at"])
    for event, code, reason in (
        (early, "sales-not-open", f"sales opened at {instant(TOMORROW)} only, "),
        (over, "event-ended", f"the event had ended at {over['ends_at']}, "),
        (closed, "sales-closed", f"sales had closed at {closed['created_at']}, "),
    ):
        problem_of(await reserve(client, ann, event), 409, code)
        (entry,) = await story_of(client, auditor, event, ann)
        assert entry["sentence"].startswith(f"Refused as {code}: {reason}")
        assert entry["counts"] == {
            "ticket_type_id": event["ticket_types"][0]["id"],
            **{
                name: event["ticket_types"][0][name]
                for name in ("capacity", "reserved", "paid", "withheld", "available")
            },
        }


async def test_who_never_came_has_no_story(client: httpx2.AsyncClient, app: FastAPI) -> None:
    auditor = await an_auditor(app)
    organiser, ann, ben = await crowd(app, 3)
    event = await new_event(client, organiser)
    reservation = await reserved(client, ann, event)

    async def asked(path: str) -> httpx2.Response:
        return await client.get(f"/audit/{path}", headers=auditor.headers)

    no_story = problem_of(await asked(f"events/{event['id']}/buyers/{ben.id}"), 404, "not-found")
    assert no_story["detail"].startswith("This account has reserved nothing")
    problem_of(await asked(f"events/{uuid4()}/buyers/{ann.id}"), 404, "event-not-found")
    problem_of(await asked(f"events/{reservation['id']}/buyers/{ann.id}"), 404, "event-not-found")
    for no_reservation in (uuid4(), event["id"], "mine"):
        problem_of(await asked(f"reservations/{no_reservation}"), 404, "not-found")
    problem_of(await reserve(client, ann, {"id": UNKNOWN_ID}), 404, "event-not-found")
    (entry,) = await story_of(client, auditor, {"id": UNKNOWN_ID}, ann)
    assert (entry["type"], entry["counts"]) == ("event-not-found", None)
