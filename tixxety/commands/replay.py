"""`tixxety replay`: an event as it was at a past moment, or its whole on-sale as a line in time."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from tixxety.errors import WrongArgument
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run

if TYPE_CHECKING:
    from auditing.replay.as_of import Moment

SOME_INSTANT = "2030-05-01T19:30:00Z"


def replay(
    event: Annotated[str, typer.Option("--event", metavar="ID", help="The event.")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="INSTANT", help=f"As it was then, e.g. {SOME_INSTANT}.")
    ] = None,
    position: Annotated[
        str | None, typer.Option("--position", metavar="N", help="As it was at that position of the history.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Play all that happened, a line for each command.")] = False,
    speed: Annotated[
        str | None, typer.Option("--speed", metavar="X", help="With --follow: X times as fast as it was recorded.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON; with --follow an object a line.")] = False,
    home: Home = None,
) -> None:
    """Show an event as it was, from the history alone, or play its whole on-sale."""
    if (at is not None) + (position is not None) + follow != 1:
        raise WrongArgument("Give exactly one of --at, --position and --follow.")
    if speed is not None and not follow:
        raise WrongArgument("--speed goes with --follow only.")
    event_id = id_of(event)
    if follow:
        factor = speed_of(speed) if speed is not None else None
        with box_office(home) as url:
            run(play(url, event_id, factor, as_json=as_json))
        return
    instant = instant_of(at) if at is not None else None
    number = position_of(position) if position is not None else 0
    with box_office(home) as url:
        moment = run(look(url, event_id, instant, number))
    show(moment, as_json=as_json)


def id_of(text: str) -> UUID:
    """Raises WrongArgument for what is no UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise WrongArgument(f"--event must be an event's id, a UUID, and not {text!r}.") from None


def instant_of(text: str) -> datetime:
    """Raises WrongArgument for what is no instant, or has no zone."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 - it has no zone and is refused for it
    if instant.tzinfo is None:
        raise WrongArgument(f"--at must be an instant with its zone, such as {SOME_INSTANT}, and not {text!r}.")
    return instant


def position_of(text: str) -> int:
    """Raises WrongArgument for what is no position."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise WrongArgument(f"--position must be a position of the history, a whole number, and not {text!r}.")
    return int(text)


def speed_of(text: str) -> float:
    """Raises WrongArgument for what is no factor above 0."""
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0 < factor < math.inf:
        raise WrongArgument(f"--speed must be a number above 0, such as 10, and not {text!r}.")
    return factor


async def look(database_url: str, event_id: UUID, at: datetime | None, position: int) -> Moment:
    """The event at an instant, else at a position. Raises what `auditing.replay.as_of` raises."""
    from auditing.replay import as_of
    from auditing.replay.streams import always
    from eventstore.postgres.connections import connect

    async with await connect(database_url) as connection:
        if at is not None:
            return await as_of.at_instant(always(connection), event_id, at)
        return await as_of.at_position(always(connection), event_id, position)


def show(moment: Moment, *, as_json: bool) -> None:
    """Print a moment: tables for people, or what the route of the API answers."""
    if as_json:
        from api.audit.schemas import json_of_moment

        typer.echo(json_of_moment(moment))
    else:
        from tixxety.terminal.replay_tables import print_moment

        print_moment(moment)


async def play(database_url: str, event_id: UUID, speed: float | None, *, as_json: bool) -> None:
    """Print every step; at `speed` times the recorded pace, else as fast as it goes. Raises EventNotFound."""
    from auditing.replay.streams import always
    from auditing.replay.timeline import steps
    from eventstore.postgres.connections import connect
    from tixxety.terminal.replay_tables import json_line, line_printer

    print_line = line_printer()
    before: datetime | None = None
    async with await connect(database_url) as connection:
        async for step in steps(always(connection), event_id):
            if speed is not None and before is not None and step.at > before:
                sys.stdout.flush()
                await asyncio.sleep((step.at - before).total_seconds() / speed)
            before = step.at
            if as_json:
                sys.stdout.write(json_line(step))
            else:
                print_line(step)
    sys.stdout.flush()
