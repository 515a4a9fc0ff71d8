"""What an organiser sees of the reservations of an event: with who has bought, as JSON, as lines and as CSV."""

import csv
import io
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from pydantic import Field

from accounts import account_queries
from accounts.account_queries import Person
from api.docs.example_values import SOME_BUYER
from api.http.cursors import Page
from api.plumbing.authentication import Lent
from api.reservations.schemas import ReservationAnswer, render
from domain.errors import spoken
from eventstore.postgres.connections import Connection
from projections.exporting.table_export import FORMULA_STARTS
from projections.queries import reservations_queries
from projections.queries.reservations_queries import OfEvent
from projections.tables.reservations import ReservationRow

# Read at a time for an export; between two of them nothing is held, however slowly a client takes it.
PART_ROWS = 500

_json = msgspec.json.Encoder()


class EventReservationAnswer(ReservationAnswer):
    """A reservation with its buyer: name and e-mail are null once the account was deleted."""

    buyer_id: Annotated[UUID, Field(examples=[SOME_BUYER])]
    buyer_name: Annotated[str | None, Field(examples=["Ada Lovelace"])]
    buyer_email: Annotated[str | None, Field(examples=["ada@example.com"])]


class EventReservationPage(Page[EventReservationAnswer]):
    """A page of an event's reservations, newest first."""


class Bought(msgspec.Struct, frozen=True, gc=False):
    """A reservation and whose it is, if the account lives."""

    row: ReservationRow
    buyer: Person | None

    @property
    def place(self) -> tuple[datetime, UUID]:
        """Where it stands in the list."""
        return self.row.placed_at, self.row.reservation_id

    def rendered(self) -> dict[str, Any]:
        """An `EventReservationAnswer` on its way out."""
        name, email = (self.buyer.name, self.buyer.email) if self.buyer else (None, None)
        buyer = {"buyer_id": self.row.buyer_id, "buyer_name": name, "buyer_email": email}
        return msgspec.structs.asdict(render(self.row)) | buyer


async def part(
    connection: Connection, wanted: OfEvent, after: tuple[datetime, UUID] | None, limit: int
) -> list[Bought]:
    """Reservations behind `after`, each with its buyer."""
    rows = await reservations_queries.reservations_of_event(connection, wanted, after=after, limit=limit)
    people = await account_queries.people(connection, (row.buyer_id for row in rows))
    return [Bought(row, people.get(row.buyer_id)) for row in rows]


async def parts(connected: Lent, wanted: OfEvent) -> AsyncIterator[list[Bought]]:
    """All of them, part by part, each as it stands when it is read; the first part may be empty."""
    after = None
    while True:
        async with connected() as connection:
            found = await part(connection, wanted, after, PART_ROWS)
        yield found
        if len(found) < PART_ROWS:
            return
        after = found[-1].place


def lines_of(found: Iterable[Bought]) -> bytes:
    """An `EventReservationAnswer` a line."""
    return _json.encode_lines([bought.rendered() for bought in found])


def csv_header() -> bytes:
    """The names of the columns, which are the fields of an `EventReservationAnswer`."""
    return _csv([list(EventReservationAnswer.model_fields)])


def csv_of(found: Iterable[Bought]) -> bytes:
    """A row each, for spreadsheets: a text that they would take for a formula has a quote before it."""
    names = list(EventReservationAnswer.model_fields)
    rendered = (bought.rendered() for bought in found)
    return _csv([_cell(cells[name]) for name in names] for cells in rendered)


def _csv(rows: Iterable[list[Any]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue().encode()


def _cell(value: Any) -> Any:
    match value:
        case str() if value.startswith(tuple(FORMULA_STARTS)):
            return f"'{value}"
        case datetime():
            return spoken(value)
    return value
