"""Prints an event as it was, or its steps one by one: in colours on a terminal, as plain text elsewhere."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditing.replay.as_of import Moment
from auditing.replay.formatting import plain
from auditing.replay.timeline import Step
from auditing.stories.event_story import EventStoryEntry
from domain.errors import spoken

WIDTH_ELSEWHERE = 140
MOST_HOLDS_SHOWN = 20
NUMBERS = ("capacity", "withheld", "reserved", "paid", "available", "tickets")
BAR_CELLS = 20
PAID, RESERVED, LEFT = "#", "+", "."
STYLES = {PAID: "green", RESERVED: "yellow", LEFT: "dim"}

_json = msgspec.json.Encoder()


def print_moment(moment: Moment) -> None:
    """The event, its ticket types, and the holds that end first."""
    console = _console()
    event = moment.event
    console.print(Text(plain(event.title), style="bold"))
    times = f"{spoken(event.starts_at)} to {spoken(event.ends_at)}"
    console.print(f"Event {event.event_id}, {event.status}, {times}, time zone {plain(event.time_zone)}")
    console.print(f"As of position {moment.position:,}, recorded at {spoken(moment.at)}")
    counts = _table("ticket type", "capacity", "withheld", "reserved", "paid", "available")
    for row in moment.ticket_types:
        numbers = (row.capacity, row.withheld, row.reserved, row.paid, row.available)
        counts.add_row(Text(plain(row.name)), *(f"{number:,}" for number in numbers))
    console.print(counts)
    if not moment.holds:
        console.print("No open holds.")
        return
    names = {row.ticket_type_id: plain(row.name) for row in moment.ticket_types}
    holds = _table("held until", "tickets", "ticket type", "buyer", "reservation")
    first = sorted(moment.holds.items(), key=lambda one: one[1].hold_expires_at)[:MOST_HOLDS_SHOWN]
    for reservation_id, hold in first:
        until, name = spoken(hold.hold_expires_at), Text(names[hold.ticket_type_id])
        holds.add_row(until, f"{hold.quantity:,}", name, str(hold.buyer_id), str(reservation_id))
    console.print(holds)
    if len(moment.holds) > len(first):
        console.print(f"and {len(moment.holds) - len(first):,} more holds; --json shows all.")


def line_printer() -> Callable[[Step], None]:
    """Prints a step on a line: in colours on a terminal, and as plain text elsewhere."""
    console = _console()
    if not console.is_terminal:
        return lambda step: _write(line_of(step))

    def print_coloured(step: Step) -> None:
        text = Text(line_of(step))
        end = text.plain.index("[") + 1
        drawn = text.plain[end : end + BAR_CELLS]
        for cell, style in STYLES.items():
            start, end = end, end + drawn.count(cell)
            text.stylize(style, start, end)
        console.print(text, no_wrap=True, overflow="ellipsis")

    return print_coloured


def line_of(step: Step) -> str:
    """Position, time, how much is paid, reserved and left, what happened, and the count."""
    capacity = sum(row.capacity for row in step.ticket_types)
    paid = sum(row.paid for row in step.ticket_types)
    taken = paid + sum(row.reserved for row in step.ticket_types)
    place = f"{step.position:>9,}  {_to_the_millisecond(step.at)}"
    return f"{place}  [{bar(paid, taken, capacity)}]  {step.what}; {taken:,} of {capacity:,} taken"


def bar(paid: int, taken: int, capacity: int) -> str:
    """`###++....`: paid, reserved and left; what is taken shows as one cell at least, and so does what is left."""
    taken_cells = BAR_CELLS if taken == capacity else min(-(-taken * BAR_CELLS // capacity), BAR_CELLS - 1)
    paid_cells = min(-(-paid * BAR_CELLS // capacity), taken_cells)
    return PAID * paid_cells + RESERVED * (taken_cells - paid_cells) + LEFT * (BAR_CELLS - taken_cells)


def json_line(step: Step) -> str:
    """The same for machines."""
    told: dict[str, Any] = {
        "position": step.position,
        "at": spoken(step.at),
        "what": step.what,
        "actor_id": step.actor_id,
        "request_id": step.request_id,
        "ticket_types": [
            {
                "id": row.ticket_type_id,
                "name": row.name,
                "capacity": row.capacity,
                "withheld": row.withheld,
                "reserved": row.reserved,
                "paid": row.paid,
                "available": row.available,
            }
            for row in step.ticket_types
        ],
    }
    return _json.encode(told).decode() + "\n"


def story_line(entry: EventStoryEntry) -> str:
    """The end of the command, the time, and the sentence; of sales those of the last."""
    return f"{entry.position:>9,}  {_to_the_millisecond(entry.at)}  {entry.sentence}\n"


def _to_the_millisecond(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}Z"


def _console() -> Console:
    width = None if sys.stdout.isatty() else WIDTH_ELSEWHERE
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in NUMBERS else "left")
    return table


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
