"""For auditors: an event at a past moment, the story of a purchase, and the seals."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.audit.recorded_access import TheAuditor
from api.audit.schemas import AsOfAnswer, SealAnswer, SealKeys, SealPage, StoryAnswer, json_of_moment, json_of_story
from api.docs.example_values import shown
from api.http.cursors import Cursor, after_cursor, page_of
from api.http.errors import AuditorsOnly
from api.http.inputs import USUAL_PAGE, Id, Instant, PageLimit, Position, unusable
from api.http.problems import refusals
from auditing.replay import as_of
from auditing.replay.errors import BeyondTheEnd, InTheFuture, NoStory, NoSuchReservation, NotCreatedYet
from auditing.stories import story_sources
from domain.errors import EventNotFound
from eventstore.seals import seal_keys, seals

MEDIA_TYPE = "application/json"
EXACTLY_ONE = "has to be given, or position has to be, and not both"

router = APIRouter(prefix="/audit", tags=["audit"])


@router.get(
    "/events/{event_id}/as-of",
    response_model=AsOfAnswer,
    responses=refusals(AuditorsOnly, EventNotFound, NotCreatedYet, InTheFuture, BeyondTheEnd),
)
async def read_event_as_of(
    event_id: Id,
    auditor: TheAuditor,
    at: Annotated[Instant | None, Query(description="As it was at this instant, by the database's clock.")] = None,
    position: Annotated[Position | None, Query(description="As it was at this position of the history.")] = None,
) -> Response:
    """An event, its tickets and its open holds as they were: after all of its commands that had ended by then.

    Folded anew from the history, by the code that folds the tables for reading. A long history takes a second or two.
    """
    if (at is None) == (position is None):
        raise unusable("query", "at", EXACTLY_ONE)
    connected = await auditor.reads()
    if at is not None:
        moment = await as_of.at_instant(connected, event_id, at)
    else:
        moment = await as_of.at_position(connected, event_id, position or 0)
    return Response(json_of_moment(moment), media_type=MEDIA_TYPE)


@router.get(
    "/reservations/{reservation_id}",
    response_model=StoryAnswer,
    responses=refusals(AuditorsOnly, NoSuchReservation),
)
async def read_story_of_reservation(reservation_id: Id, auditor: TheAuditor) -> Response:
    """The story of a reservation in order: what happened or was refused, when, by whom, in which request, and why."""
    connected = await auditor.reads()
    story = await story_sources.of_reservation(connected, reservation_id)
    return Response(json_of_story(story), media_type=MEDIA_TYPE)


@router.get(
    "/events/{event_id}/buyers/{buyer_id}",
    response_model=StoryAnswer,
    responses={200: shown(reservation_id=None), **refusals(AuditorsOnly, EventNotFound, NoStory)},
)
async def read_story_of_buyer(event_id: Id, buyer_id: Id, auditor: TheAuditor) -> Response:
    """The story of an account at an event: all of its reservations and all that it was refused there."""
    connected = await auditor.reads()
    story = await story_sources.of_buyer(connected, event_id, buyer_id)
    return Response(json_of_story(story), media_type=MEDIA_TYPE)


@router.get("/seals", responses=refusals(AuditorsOnly))
async def list_seals(auditor: TheAuditor, limit: PageLimit = USUAL_PAGE, cursor: Cursor = None) -> SealPage:
    """The seals in order, and the public keys that check them: any JOSE library can."""
    (after,) = after_cursor(cursor, ("seals",), tuple[int]) or (0,)
    connected = await auditor.reads()
    async with connected() as connection:
        listed = await seals.listed_after(connection, after, limit + 1)
        keys = await seal_keys.published(connection)
    shown, next_cursor = page_of(listed, limit, ("seals",), lambda seal: (seal.number,))
    items = [SealAnswer.of_seal(seal) for seal in shown]
    return SealPage(items=items, next_cursor=next_cursor, keys=SealKeys(keys=keys))
