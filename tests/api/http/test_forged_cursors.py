"""A cursor that somebody made up is refused like any other that no page gave, before the database hears of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from api.events.filters import ALL_UPCOMING
from api.http.cursors import after_cursor, cursor_at
from auditing.replay import audit_read_queries, refused_attempt_queries
from projections.queries import audit_trail_queries
from projections.queries.reservations_queries import OfEvent
from tests.api.conftest import LoggedIn, LogIn, problem_of
from tests.api.programme import folding, new_event, set_roles

AT, EARLIEST, LATEST = (datetime(year, 1, 1, tzinfo=UTC) for year in (2030, 1, 9999))
ID, LAST_ID = UUID(int=7), UUID(int=2**128 - 1)
TOO_LARGE = (2**63, 2**64, 10**30)

List = Callable[[str, LoggedIn], tuple[str, tuple[Any, ...]]]
# Each list's address and filters, the furthest places that its cursors may stand for, and numbers that none has had.
LISTS: dict[str, tuple[List, list[Any], list[Any]]] = {
    "events": (lambda event_id, reader: ("/events", ALL_UPCOMING), [(EARLIEST, ID), (LATEST, LAST_ID)], []),
    "events for an account": (
        lambda event_id, reader: ("/events/for-you", ("events for", reader.id, None, None, None)),
        [(0, EARLIEST, ID), (2, LATEST, LAST_ID)],
        [(rank, AT, ID) for rank in (-1, 3, 2**31, *TOO_LARGE)],
    ),
    "own reservations": (
        lambda event_id, reader: ("/reservations", ("reservations", reader.id, None, None)),
        [(EARLIEST, ID), (LATEST, LAST_ID)],
        [],
    ),
    "reservations of an event": (
        lambda event_id, reader: (
            f"/events/{event_id}/reservations",
            ("reservations of an event", *OfEvent(UUID(event_id))),
        ),
        [(EARLIEST, ID), (LATEST, LAST_ID)],
        [],
    ),
    "sales": (
        lambda event_id, reader: (f"/analytics/events/{event_id}/sales", ("sales", event_id, "hour", None)),
        [(EARLIEST, ID), (LATEST, LAST_ID)],
        [],
    ),
    "refused attempts": (
        lambda event_id, reader: (
            "/audit/refused-attempts",
            ("refused attempts", *refused_attempt_queries.Filters()),
        ),
        [(EARLIEST, ID, 1), (LATEST, LAST_ID, 2**31)],
        [(AT, ID, place) for place in (-1, 0, 2**31 + 1, *TOO_LARGE)],
    ),
    "reads": (
        lambda event_id, reader: ("/audit/reads", ("reads", *audit_read_queries.Filters())),
        [(EARLIEST, ID), (LATEST, LAST_ID)],
        [],
    ),
    "domain events": (
        lambda event_id, reader: ("/audit/domain-events", ("domain events", *audit_trail_queries.Filters())),
        [(0,), (2**63 - 1,)],
        [(position,) for position in (-1, *TOO_LARGE)],
    ),
    "story of an event": (
        lambda event_id, reader: (f"/audit/events/{event_id}/story", ("event story", event_id)),
        [(0,), (2**63 - 1,)],
        [(position,) for position in (-1, *TOO_LARGE)],
    ),
    "seals": (
        lambda event_id, reader: ("/audit/seals", ("seals",)),
        [(0,), (2**63 - 1,)],
        [(number,) for number in (-1, *TOO_LARGE)],
    ),
}


@pytest.mark.parametrize("name", LISTS)
async def test_the_furthest_place_is_answered_and_what_is_beyond_it_refused(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, database_url: str, name: str
) -> None:
    of, furthest, beyond = LISTS[name]
    async with folding(database_url):
        reader = await new_account()
        await set_roles(app, reader, "auditor", "analyst")
        event = await new_event(client, reader)
        path, filters = of(event["id"], reader)

        async def answered(after: tuple[Any, ...]) -> httpx2.Response:
            return await client.get(path, params={"cursor": cursor_at(filters, after)}, headers=reader.headers)

        for after in furthest:
            assert (await answered(after)).status_code == 200, after
        clocks = [tuple(_elsewhere(part) for part in after) for after in furthest if isinstance(after[0], datetime)]
        for after in (*beyond, *clocks):
            problem = problem_of(await answered(after), 422, "invalid-request")
            assert [error["path"] for error in problem["errors"]] == ["cursor"], after


@pytest.mark.parametrize("number", [-1, *TOO_LARGE])
def test_no_shape_lets_a_number_through_that_a_column_can_not_have(number: int) -> None:
    with pytest.raises(RequestValidationError):
        after_cursor(cursor_at(("some list",), (number,)), ("some list",), tuple[int])


def _elsewhere(part: Any) -> Any:
    """On a clock that is not in UTC, whose instant may not even be one."""
    return part.replace(tzinfo=timezone(timedelta(hours=2))) if isinstance(part, datetime) else part
