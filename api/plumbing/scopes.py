"""What each route asks of a key, and whether it asks at once if the login still goes on: one table for all of them."""

from typing import NamedTuple

from starlette.types import Scope

from accounts.api_keys import ANALYSE, AUDIT, ORGANISE, READ, RESERVE

# What a key needs for what everybody may read, too.
ANY = ""


class Need(NamedTuple):
    """The scope that a key has to have; None: no key may, somebody has to be logged in.

    `at_once`: first it is asked whether the session or key has ended. Needless where what is done ends by itself, as a
    hold, or where `Reader` asks the same as it reads.
    """

    scope: str | None
    at_once: bool = True


NO_KEY = Need(None)
# By method and path: every route that knows who asks. One that is missing here is for no key.
NEEDS = {
    ("GET", "/auth/me"): Need(READ),
    ("PATCH", "/auth/me"): NO_KEY,
    ("DELETE", "/auth/me"): NO_KEY,
    ("PUT", "/auth/password"): NO_KEY,
    ("PUT", "/auth/email"): NO_KEY,
    ("POST", "/auth/logout"): NO_KEY,
    ("POST", "/auth/logout-everywhere"): NO_KEY,
    ("GET", "/auth/api-keys"): NO_KEY,
    ("POST", "/auth/api-keys"): NO_KEY,
    ("DELETE", "/auth/api-keys/{key_id}"): NO_KEY,
    ("GET", "/events"): Need(ANY, at_once=False),
    ("GET", "/events/{event_id}"): Need(ANY, at_once=False),
    ("GET", "/events/for-you"): Need(READ, at_once=False),
    ("POST", "/events"): Need(ORGANISE),
    ("PATCH", "/events/{event_id}"): Need(ORGANISE),
    ("POST", "/events/{event_id}/cancel"): Need(ORGANISE),
    ("POST", "/events/{event_id}/ticket-types"): Need(ORGANISE),
    ("POST", "/events/{event_id}/withhold"): Need(ORGANISE),
    ("POST", "/events/{event_id}/return"): Need(ORGANISE),
    ("GET", "/events/{event_id}/reservations"): Need(ORGANISE),
    ("POST", "/events/{event_id}/reservations/{reservation_id}/cancel"): Need(ORGANISE),
    ("GET", "/reservations"): Need(READ, at_once=False),
    ("GET", "/reservations/{reservation_id}"): Need(READ, at_once=False),
    ("POST", "/reservations"): Need(RESERVE, at_once=False),
    ("POST", "/reservations/{reservation_id}/pay"): Need(RESERVE),
    ("POST", "/reservations/{reservation_id}/extend"): Need(RESERVE),
    ("POST", "/reservations/{reservation_id}/cancel"): Need(RESERVE),
    ("GET", "/audit/domain-events"): Need(AUDIT),
    ("GET", "/audit/events/{event_id}/as-of"): Need(AUDIT),
    ("GET", "/audit/events/{event_id}/buyers/{buyer_id}"): Need(AUDIT),
    ("GET", "/audit/reservations/{reservation_id}"): Need(AUDIT),
    ("GET", "/audit/accounts"): Need(AUDIT),
    ("GET", "/audit/events/{event_id}/story"): Need(AUDIT),
    ("GET", "/audit/reads"): Need(AUDIT),
    ("GET", "/audit/refused-attempts"): Need(AUDIT),
    ("GET", "/audit/seals"): Need(AUDIT),
    ("GET", "/analytics/events/{event_id}/sales"): Need(ANALYSE, at_once=False),
}


def need_of(scope: Scope) -> Need:
    """What the route of this request needs, once routing has found it."""
    return NEEDS.get((scope["method"], scope["route"].path), NO_KEY)
