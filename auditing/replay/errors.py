"""What an auditor can ask for and not get, each with its sentence."""

from datetime import datetime

from domain.errors import Refusal


class InTheFuture(Refusal):
    """{asked_at} lies in the future, and it is {now} here. Ask for an instant that has passed."""

    code = "in-the-future"
    asked_at: datetime
    now: datetime


class BeyondTheEnd(Refusal):
    """The history ends at position {last_position}. Ask for that one, or for one before it."""

    code = "beyond-the-end"
    last_position: int


class NotCreatedYet(Refusal):
    """This event did not exist then: it was created at {created_at}, at position {position}."""

    code = "event-not-created-yet"
    created_at: datetime
    position: int


class NoSuchReservation(Refusal):
    """The history has no reservation with this id."""

    code = "not-found"


class NoStory(Refusal):
    """This account has reserved nothing at this event, and no refused attempt of it is kept."""

    code = "not-found"
