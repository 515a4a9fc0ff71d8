"""What the list of events can be asked for: words, places, time, status, whose, and whether they are on sale."""

from datetime import datetime
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from fastapi import Depends, Query

from accounts.errors import NotAuthenticated
from accounts.tokens import Account
from api.http.inputs import Id, Instant, Place, Text, YesOrNo, unusable
from domain.on_sale import OnSale
from projections.queries.catalogue_queries import Filters


class AskedFor(NamedTuple):
    """What a request asks for; all of it counts together."""

    q: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None
    starts_after: datetime | None = None
    starts_before: datetime | None = None
    ends_after: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    status: Literal["scheduled", "cancelled", "any"] | None = None
    on_sale: OnSale | None = None
    organiser_id: UUID | None = None
    mine: bool = False

    def filters(self, account: Account | None) -> Filters:
        """What is to be looked for. Raises `NotAuthenticated` where `mine` is asked for by nobody."""
        if self.mine and account is None:
            raise NotAuthenticated
        organiser_id = account.account_id if self.mine and account else self.organiser_id
        status = self.status or ("cancelled" if self.on_sale == "cancelled" else "scheduled")
        has_beginning = bool(self.starts_after or self.ends_after or self.since)
        return Filters(
            q=self.q,
            city=self.city,
            state=self.state,
            country=self.country,
            starts_after=self.starts_after,
            starts_before=min(filter(None, (self.starts_before, self.until)), default=None),
            ends_after=max(filter(None, (self.ends_after, self.since)), default=None),
            is_upcoming=not has_beginning and self.on_sale != "ended",
            status=None if status == "any" else status,
            organiser_id=organiser_id,
            on_sale=self.on_sale,
        )


ALL_UPCOMING = AskedFor()


async def asked_for(
    q: Annotated[
        str | None,
        Text(1, 200, running=True),
        Query(description="Words that title or description have, each anywhere in it; case and accents don't matter."),
    ] = None,
    city: Annotated[Place | None, Query(description="The same city but for case, accents and spaces.")] = None,
    state: Place | None = None,
    country: Place | None = None,
    since: Annotated[
        Instant | None,
        Query(alias="from", description="Those that end after this instant."),
    ] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Those that start before this instant.")] = None,
    starts_after: Annotated[Instant | None, Query(description="Those that start at this instant or later.")] = None,
    starts_before: Annotated[Instant | None, Query(description="Those that start before this instant.")] = None,
    ends_after: Annotated[Instant | None, Query(description="Those that end after this instant.")] = None,
    status: Annotated[
        Literal["scheduled", "cancelled", "any"] | None,
        Query(description="`scheduled` unless you say, or ask for what is `cancelled` by `on_sale`."),
    ] = None,
    on_sale: Annotated[OnSale | None, Query(description="How their sales stand at the moment.")] = None,
    organiser_id: Annotated[Id | None, Query(description="Those of this organiser.")] = None,
    mine: Annotated[YesOrNo, Query(description="Your own; needs a token.")] = False,
) -> AskedFor:
    """What the query asks for."""
    if mine and organiser_id is not None:
        raise unusable("query", "organiser_id", "must not come with mine")
    return AskedFor(
        q,
        city,
        state,
        country,
        starts_after,
        starts_before,
        ends_after,
        since,
        until,
        status,
        on_sale,
        organiser_id,
        mine,
    )


TheAskedFor = Annotated[AskedFor, Depends(asked_for)]
