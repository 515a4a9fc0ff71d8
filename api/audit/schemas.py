"""What auditors get: domain events, an event at a past moment, stories, and seals; each as ready JSON, too."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from pydantic import BaseModel, Field

from api.docs.example_values import SOME_BUYER, SOME_EVENT, SOME_REQUEST, SOME_RESERVATION, SOME_TICKET_TYPE
from api.events.answers import RecordedEvent, TicketTypeAnswer, render_recorded, render_ticket_type
from api.http.cursors import Page
from api.http.inputs import Instant
from auditing.replay import audit_trail_pages
from auditing.replay.as_of import Moment
from auditing.stories.story_sources import Story
from domain.domain_event import SYSTEM
from domain.errors import spoken
from eventstore.seals.seals import ListedSeal

Type = Literal[
    "EventCreated",
    "EventDetailsChanged",
    "CapacityChanged",
    "TicketTypeAdded",
    "PriceChanged",
    "TicketsWithheld",
    "TicketsReturned",
    "SalesWindowChanged",
    "LimitsChanged",
    "TicketsHeld",
    "HoldExtended",
    "TicketsSold",
    "TicketsReduced",
    "TicketsReleased",
    "EventCancelled",
    "ReservationPlaced",
    "ReservationExtended",
    "ReservationReduced",
    "ReservationPaid",
    "ReservationExpired",
    "ReservationCancelled",
]
ActorId = Annotated[str, Field(description="An account, or `system`.", examples=[SOME_BUYER, "system"])]

_SOME_SENTENCE = "2 tickets of Standing were held for the buyer until 2030-05-01T19:30:00Z; 312 of 500 were then taken."
SOME_STATE = {
    "timestamp": "2030-05-01T19:28:00.000000Z",
    "actor_id": SOME_BUYER,
    "request_id": SOME_REQUEST,
    "reservation_id": SOME_RESERVATION,
    "buyer_id": SOME_BUYER,
    "ticket_type_id": SOME_TICKET_TYPE,
    "quantity": 2,
    "hold_expires_at": "2030-05-01T19:30:00.000000Z",
}
_SOME_KEY = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "2030-01"}

_json = msgspec.json.Encoder()


class DomainEventAnswer(BaseModel):
    """A domain event: its place, its circumstances, and its state as it is stored."""

    position: int
    command_position: Annotated[
        int | None, Field(description="The last position of the same command.", examples=[1043])
    ]
    stream: Annotated[
        UUID,
        Field(
            description="The event or the reservation whose own domain event this is.",
            examples=[SOME_EVENT],
        ),
    ]
    version: Annotated[
        int | None, Field(description="The place in its stream; null where the history has lost it.", examples=[217])
    ]
    type: Annotated[Type, Field(examples=["TicketsHeld"])]
    event_id: UUID
    reservation_id: UUID | None
    actor_id: ActorId
    request_id: Annotated[UUID, Field(description="The X-Request-Id of the answer to the request that recorded it.")]
    recorded_at: Instant
    state: Annotated[
        dict[str, Any] | None,
        Field(description="Null where the history has lost it: `tixxety verify` says more.", examples=[SOME_STATE]),
    ]


class DomainEventPage(Page[DomainEventAnswer]):
    """Domain events in order. A page may have fewer than `limit`, even none: only a null cursor is the end."""


class DomainEventItem(msgspec.Struct, frozen=True, gc=False):
    """A `DomainEventAnswer` on its way out; the state goes through as it is stored."""

    position: int
    command_position: int | None
    stream: UUID
    version: int | None
    type: str
    event_id: UUID
    reservation_id: UUID | None
    actor_id: str
    request_id: UUID
    recorded_at: datetime
    state: msgspec.Raw | None


def item_of(entry: audit_trail_pages.Entry) -> DomainEventItem:
    """The entry as an item of a page, or a line of NDJSON."""
    (found, stored), row = entry, entry.found.row
    return DomainEventItem(
        found.position,
        stored.command_position if stored else None,
        found.stream,
        entry.version,
        found.type,
        row.event_id,
        row.reservation_id,
        row.actor_id or SYSTEM,
        row.request_id,
        row.recorded_at,
        msgspec.Raw(stored.state) if stored else None,
    )


class HoldAnswer(BaseModel):
    """Tickets that were held and not paid; until its expiry was recorded a due hold is among them."""

    reservation_id: UUID
    buyer_id: UUID
    ticket_type_id: UUID
    quantity: int
    hold_expires_at: Instant


class AsOfAnswer(BaseModel):
    """An event as it stood from a command on, until its next one: all of it, or nothing, counts."""

    position: Annotated[int, Field(description="The end of the last command of this event that counts.")]
    at: Annotated[Instant, Field(description="When that command was recorded.")]
    event: RecordedEvent
    ticket_types: list[TicketTypeAnswer]
    holds: list[HoldAnswer]


def json_of_moment(moment: Moment) -> bytes:
    """An `AsOfAnswer`, as ready JSON: there may be many thousand holds."""
    answer = {
        "position": moment.position,
        "at": spoken(moment.at),
        "event": render_recorded(moment.event),
        "ticket_types": [render_ticket_type(row) for row in moment.ticket_types],
        "holds": [
            {
                "reservation_id": reservation_id,
                "buyer_id": hold.buyer_id,
                "ticket_type_id": hold.ticket_type_id,
                "quantity": hold.quantity,
                "hold_expires_at": hold.hold_expires_at,
            }
            for reservation_id, hold in moment.holds.items()
        ],
    }
    return _json.encode(answer)


class CountsAnswer(BaseModel):
    """The tickets of one type at a position: available = capacity − withheld − reserved − paid."""

    ticket_type_id: UUID
    capacity: int
    reserved: int
    paid: int
    withheld: int
    available: int


class StoryEntry(BaseModel):
    """A step of a story. `type` is a domain event's, or the code of a refusal: the last part of its problem type."""

    at: Instant
    position: Annotated[
        int, Field(description="The end of its command; of a refusal, the position that it was decided at.")
    ]
    type: Annotated[str, Field(examples=["TicketsHeld", "sold-out"])]
    actor_id: ActorId
    request_id: UUID
    reservation_id: UUID | None
    counts: Annotated[CountsAnswer | None, Field(description="Null where no ticket type was meant.")]
    sentence: Annotated[str, Field(examples=[_SOME_SENTENCE])]


class StoryAnswer(BaseModel):
    """What happened and what was refused, in order. Refused attempts are kept for a time only, ten a minute."""

    event_id: UUID
    buyer_id: UUID
    reservation_id: Annotated[UUID | None, Field(description="Null in the story of a buyer.")]
    entries: list[StoryEntry]
    is_whole: Annotated[bool, Field(description="False where more was refused than is told here.")]


def json_of_story(story: Story) -> bytes:
    """A `StoryAnswer`, as ready JSON."""
    entries = [
        entry._asdict() | {"at": spoken(entry.at), "counts": entry.counts and entry.counts._asdict()}
        for entry in story.entries
    ]
    return _json.encode(story._asdict() | {"entries": entries})


class SealAnswer(BaseModel):
    """A seal. Only what its `jws` says is signed; the other fields repeat it."""

    number: Annotated[int, Field(examples=[12])]
    first_position: Annotated[int, Field(examples=[1001])]
    last_position: Annotated[int, Field(examples=[1100])]
    sealed_at: Annotated[Instant, Field(examples=["2030-05-01T19:29:00Z"])]
    kid: Annotated[str, Field(description="Which of `keys` it was signed with.", examples=[_SOME_KEY["kid"]])]
    jws: Annotated[
        str,
        Field(
            description="A JWS in compact form (RFC 7515), signed with Ed25519.",
            examples=["eyJhbGciOiJFZDI1NTE5In0.eyJudW1iZXIiOjEyfQ.c2lnbmF0dXJl"],
        ),
    ]

    @classmethod
    def of_seal(cls, seal: ListedSeal) -> "SealAnswer":
        """A seal as it is stored."""
        return cls(kid=seal.key_id, **seal._asdict())


class SealKeys(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: Annotated[list[dict[str, Any]], Field(examples=[[_SOME_KEY]])]


class SealPage(Page[SealAnswer]):
    """A page of seals, the first first, and the public keys of all there are."""

    keys: SealKeys
