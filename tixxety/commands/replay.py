"""`tixxety replay`: an event as it was at a past moment, its story, or its whole on-sale as a line in time."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pydantic import AwareDatetime

from tixxety.errors import WrongArgument
from tixxety.options import Home, box_office
from tixxety.processes.stop_signals import run

if TYPE_CHECKING:
    from auditing.replay.as_of import Moment

MAX_POSITION = 2**63 - 1


def replay(
    event: Annotated[UUID, typer.Option("--event", metavar="ID", help="The event.")],
    at: Annotated[
        AwareDatetime | None, typer.Option("--at", metavar="INSTANT", help="As it was then, e.g. 2030-05-01T19:30:00Z.")
    ] = None,
    position: Annotated[
        int | None,
        typer.Option("--position", metavar="N", min=0, max=MAX_POSITION, help="As it was at that position."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Play all that happened, a line for each command.")] = False,
    story: Annotated[
        bool, typer.Option("--story", help="Who changed what from what to what, and the sales between in sums.")
    ] = False,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed", metavar="X", min=0.001, max=1_000_000, help="With --follow: X times as fast as it was recorded."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON; with --follow or --story an object a line.")] = False,
    home: Home = None,
) -> None:
    """Show an event as it was, from the history alone, tell its story, or play its whole on-sale."""
    if (at is not None) + (position is not None) + follow + story != 1:
        raise WrongArgument("Give exactly one of --at, --position, --story and --follow.")
    if speed is not None and not follow:
        raise WrongArgument("--speed goes with --follow only.")
    with box_office(home) as url:
        if follow:
            run(play(url, event, speed, as_json=as_json))
        elif story:
            run(tell(url, event, as_json=as_json))
        else:
            show(run(look(url, event, at, position or 0)), as_json=as_json)


async def look(database_url: str, event_id: UUID, at: datetime | None, position: int) -> Moment:
    """The event at an instant, else at a position. Raises what `auditing.replay.as_of` raises."""
    from auditing.replay import as_of
    from auditing.replay.streams import same_connection
    from eventstore.postgres.connections import connect

    async with await connect(database_url) as connection:
        if at is not None:
            return await as_of.at_instant(same_connection(connection), event_id, at)
        return await as_of.at_position(same_connection(connection), event_id, position)


def show(moment: Moment, *, as_json: bool) -> None:
    """Print a moment: tables for people, or what the route of the API answers."""
    if as_json:
        from api.audit.schemas import json_of_moment

        typer.echo(json_of_moment(moment))
    else:
        from tixxety.terminal.replay_tables import print_moment

        print_moment(moment)


async def tell(database_url: str, event_id: UUID, *, as_json: bool) -> None:
    """Print the event's story, entry by entry: a sentence each, or what the route of the API has in its pages.

    Raises EventNotFound.
    """
    from auditing.replay.streams import same_connection
    from auditing.stories.story_sources import of_event
    from eventstore.postgres.connections import connect
    from tixxety.terminal.replay_tables import story_line

    render = story_line
    if as_json:
        from api.audit.event_story_routes import json_line_of_entry

        render = json_line_of_entry
    async with await connect(database_url) as connection:
        async for entry in of_event(same_connection(connection), event_id):
            sys.stdout.write(render(entry))


async def play(database_url: str, event_id: UUID, speed: float | None, *, as_json: bool) -> None:
    """Print every step; at `speed` times the recorded pace, else as fast as it goes. Raises EventNotFound."""
    from auditing.replay.streams import same_connection
    from auditing.replay.timeline import steps
    from eventstore.postgres.connections import connect
    from tixxety.terminal.replay_tables import json_line, line_printer

    print_line = line_printer()
    before: datetime | None = None
    async with await connect(database_url) as connection:
        async for step in steps(same_connection(connection), event_id):
            if speed is not None and before is not None and step.at > before:
                sys.stdout.flush()
                await asyncio.sleep((step.at - before).total_seconds() / speed)
            before = step.at
            if as_json:
                sys.stdout.write(json_line(step))
            else:
                print_line(step)
    sys.stdout.flush()
