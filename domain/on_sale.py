"""Whether an event is on sale at an instant, and until when that stays so if nobody does anything."""

from datetime import datetime
from typing import Literal, NamedTuple, get_args

from domain.event_facts import SalesWindow

OnSale = Literal["not-yet", "now", "sold-out", "closed", "ended", "cancelled"]
ALL_ON_SALE: tuple[OnSale, ...] = get_args(OnSale)


class SaleFacts(NamedTuple):
    """What decides on it. `available` tickets are left of all types together, not counting those in holds.

    `first_hold_ends_at` is when the first of the holds ends, or has ended without being taken back yet; None: no hold.
    """

    is_cancelled: bool
    ends_at: datetime
    sales_window: SalesWindow
    available: int
    first_hold_ends_at: datetime | None = None


class Sale(NamedTuple):
    """How it stands, and when time alone changes that next; None: nothing is known to change it."""

    on_sale: OnSale
    changes_at: datetime | None


def sale_at(at: datetime, facts: SaleFacts) -> Sale:
    """How the sale of an event stands: `now` as long as one ticket at least can be reserved."""
    window = facts.sales_window
    closes_at = window.sales_close_at or facts.ends_at
    phase = sales_phase(at, facts.is_cancelled, facts.ends_at, window)
    match phase:
        case "not-yet":
            return Sale(phase, window.sales_open_at)
        case "closed":
            return Sale(phase, facts.ends_at)
        case "now":
            first_hold_ends_at = facts.first_hold_ends_at
            if facts.available > 0 or (first_hold_ends_at and first_hold_ends_at <= at):
                return Sale(phase, closes_at)
            return Sale("sold-out", min(first_hold_ends_at or closes_at, closes_at))
    return Sale(phase, None)


def sales_phase(at: datetime, is_cancelled: bool, ends_at: datetime, window: SalesWindow) -> OnSale:
    """The same but for whether any ticket is left: never `sold-out`."""
    if is_cancelled:
        return "cancelled"
    if at >= ends_at:
        return "ended"
    if window.sales_open_at and at < window.sales_open_at:
        return "not-yet"
    if window.sales_close_at and at >= window.sales_close_at:
        return "closed"
    return "now"
