"""What is kept beside the history: refused attempts, and who has read what; filtered, in pages."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, Field

from api.audit.recorded_access import TheAuditor
from api.http.cursors import Cursor, Page, after_cursor, cursor_at, within_bytes
from api.http.errors import AuditorsOnly
from api.http.inputs import USUAL_PAGE, Id, Instant, PageLimit
from api.http.problems import PROBLEM_TYPES, refusals
from api.http.ready_json import encode, ready_json
from auditing.replay import audit_read_queries, refused_attempt_queries
from eventstore.writing.refused_attempts import RefusedAttempt

router = APIRouter(prefix="/audit", tags=["audit"])


def _known_code(code: str) -> str:
    if code not in PROBLEM_TYPES:
        raise ValueError("must be the code of a problem type, such as sold-out")
    return code


AttemptPlace = Annotated[int, msgspec.Meta(ge=1, le=refused_attempt_queries.LAST_PLACE)]
Code = Annotated[str, AfterValidator(_known_code)]
From = Annotated[Instant | None, Query(alias="from", description="At this instant or later.")]
To = Annotated[Instant | None, Query(alias="to", description="Before this instant.")]


class RefusedAttemptAnswer(BaseModel):
    """Who asked for what and was refused, with the counts it was decided on; null where no ticket type was meant."""

    request_id: UUID
    refused_at: Annotated[Instant, Field(examples=["2030-05-01T19:28:00Z"])]
    account_id: Annotated[UUID, Field(description="Who asked; it may have been deleted.")]
    command: Annotated[str, Field(examples=["ReserveTickets"])]
    event_id: Annotated[UUID, Field(description="There may be no event of this id.")]
    reservation_id: Annotated[UUID | None, Field(examples=[None])]
    ticket_type_id: UUID | None
    quantity: int | None
    code: Annotated[str, Field(description="The last part of the problem type.", examples=["sold-out"])]
    facts: Annotated[dict[str, Any], Field(description="What the refusal told.", examples=[{"available": 0}])]
    capacity: int | None
    reserved: int | None
    paid: int | None
    position: Annotated[int, Field(description="Where in the history it was decided.")]
    withheld: Annotated[int | None, Field(description="Null also where that was not kept yet.")]
    last_kept: Annotated[
        bool,
        Field(description="Whether further refusals of this account in that minute were not kept.", examples=[False]),
    ]


class RefusedAttemptPage(Page[RefusedAttemptAnswer]):
    """Refused attempts in order. A page may have fewer than `limit`, even none: only a null cursor is the end."""


class ReadAnswer(BaseModel):
    """A look at the audit, or at personal data."""

    request_id: UUID
    read_at: Annotated[Instant, Field(examples=["2030-05-01T19:28:00Z"])]
    auditor_id: Annotated[UUID, Field(description="Who has read; it may have been deleted.")]
    what: Annotated[str, Field(description="Path and query.", examples=["/audit/seals?limit=3"])]


class ReadPage(Page[ReadAnswer]):
    """Reads in order. A page may have fewer than `limit`, even none: only a null cursor is the end."""


@router.get("/refused-attempts", response_model=RefusedAttemptPage, responses=refusals(AuditorsOnly))
async def list_refused_attempts(
    auditor: TheAuditor,
    event_id: Id | None = None,
    reservation_id: Annotated[Id | None, Query(description="Attempts to pay it or to cancel it.")] = None,
    account_id: Annotated[Id | None, Query(description="Who asked.")] = None,
    code: Annotated[Code | None, Query(description="The last part of the problem type, such as `sold-out`.")] = None,
    since: From = None,
    until: To = None,
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
) -> Response:
    """What was refused, to whom and why, in the order of time.

    Refused attempts are kept for a time only, and ten a minute of one account.
    """
    filters = refused_attempt_queries.Filters(event_id, reservation_id, account_id, code, since, until)
    place = after_cursor(cursor, ("refused attempts", *filters), tuple[datetime, UUID, AttemptPlace])
    after = refused_attempt_queries.Place(*place) if place else None
    connected = await auditor.reads()
    async with connected() as connection:
        attempts, after = await refused_attempt_queries.selected(connection, filters, after, limit)
    items = [_attempt(attempt) for attempt, _ in attempts]
    shown = within_bytes(items, len)
    if len(shown) < len(items):
        after = attempts[len(shown) - 1][1]
    return _page(shown, cursor_at(("refused attempts", *filters), tuple(after)) if after else None)


@router.get("/reads", response_model=ReadPage, responses=refusals(AuditorsOnly))
async def list_reads(
    auditor: TheAuditor,
    auditor_id: Annotated[Id | None, Query(description="Who has read.")] = None,
    about: Annotated[Id | None, Query(description="An id in path or query, of whatever kind.")] = None,
    since: From = None,
    until: To = None,
    limit: PageLimit = USUAL_PAGE,
    cursor: Cursor = None,
) -> Response:
    """Who has read what for the audit, and who has looked at personal data, in the order of time; this read as well."""
    filters = audit_read_queries.Filters(auditor_id, about, since, until)
    place = after_cursor(cursor, ("reads", *filters), tuple[datetime, UUID])
    after = audit_read_queries.Place(*place) if place else None
    connected = await auditor.reads()
    async with connected() as connection:
        reads, after = await audit_read_queries.selected(connection, filters, after, limit)
    items = [
        encode({"request_id": one.request_id, "read_at": one.read_at, "auditor_id": one.account_id, "what": one.what})
        for one in reads
    ]
    shown = within_bytes(items, len)
    if len(shown) < len(items):
        after = reads[len(shown) - 1].place
    return _page(shown, cursor_at(("reads", *filters), tuple(after)) if after else None)


def _attempt(attempt: RefusedAttempt) -> bytes:
    return encode(attempt._asdict() | {"facts": msgspec.Raw(attempt.facts.encode())})


def _page(items: Any, next_cursor: str | None) -> Response:
    return ready_json(b'{"items":[%b],"next_cursor":%b}' % (b",".join(items), encode(next_cursor)))
