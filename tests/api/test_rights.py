"""Who may call which route: a table of all there are, and every route called by everybody."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
from fastapi import FastAPI
from fastapi.routing import APIRoute

from accounts import api_keys
from accounts.account_queries import Credentials
from accounts.tokens import Account
from api.plumbing.authentication import account_if_any
from api.plumbing.scopes import NEEDS
from tests.api.conftest import JWT_SECRET, PASSWORD, LoggedIn, LogIn, password_hash
from tests.api.logins import reset_tokens, set_passwords
from tests.api.programme import (
    TOMORROW,
    crowd,
    event_body,
    folding,
    instant,
    new_event,
    reserve,
    set_roles,
    ticket_type,
)
from tests.begun_sessions import token_of

Route = tuple[str, str]

NOBODY, STRANGER, BUYER, ORGANISER = "nobody", "stranger", "buyer", "organiser"
AUDITOR, ANALYST, ADMIN = "auditor", "analyst", "admin"
WITH_ACCOUNT = (STRANGER, BUYER, ORGANISER, AUDITOR, ANALYST, ADMIN)
EVERYBODY = (NOBODY, *WITH_ACCOUNT)
ITS_ORGANISER, ITS_BUYER = (ORGANISER, ADMIN), (BUYER,)
AUDITORS, ANALYSTS = (AUDITOR, ADMIN), (ORGANISER, ANALYST, ADMIN)

MAY_CALL: dict[Route, tuple[str, ...]] = {
    ("POST", "/auth/register"): EVERYBODY,
    ("POST", "/auth/login"): EVERYBODY,
    ("POST", "/auth/refresh"): EVERYBODY,
    ("POST", "/auth/logout"): WITH_ACCOUNT,
    ("POST", "/auth/logout-everywhere"): WITH_ACCOUNT,
    ("POST", "/auth/password-reset"): EVERYBODY,
    ("GET", "/auth/me"): WITH_ACCOUNT,
    ("GET", "/auth/api-keys"): WITH_ACCOUNT,
    ("POST", "/auth/api-keys"): WITH_ACCOUNT,
    ("DELETE", "/auth/api-keys/{key_id}"): ITS_BUYER,
    ("PATCH", "/auth/me"): WITH_ACCOUNT,
    ("PUT", "/auth/password"): WITH_ACCOUNT,
    ("PUT", "/auth/email"): WITH_ACCOUNT,
    ("DELETE", "/auth/me"): WITH_ACCOUNT,
    ("GET", "/events"): EVERYBODY,
    ("POST", "/events"): WITH_ACCOUNT,
    ("GET", "/events/for-you"): WITH_ACCOUNT,
    ("GET", "/events/{event_id}"): EVERYBODY,
    ("PATCH", "/events/{event_id}"): ITS_ORGANISER,
    ("POST", "/events/{event_id}/cancel"): ITS_ORGANISER,
    ("POST", "/events/{event_id}/ticket-types"): ITS_ORGANISER,
    ("POST", "/events/{event_id}/withhold"): ITS_ORGANISER,
    ("POST", "/events/{event_id}/return"): ITS_ORGANISER,
    ("GET", "/events/{event_id}/reservations"): ITS_ORGANISER,
    ("POST", "/events/{event_id}/reservations/{reservation_id}/cancel"): ITS_ORGANISER,
    ("POST", "/reservations"): WITH_ACCOUNT,
    ("GET", "/reservations"): WITH_ACCOUNT,
    ("GET", "/reservations/{reservation_id}"): ITS_BUYER,
    ("POST", "/reservations/{reservation_id}/pay"): ITS_BUYER,
    ("POST", "/reservations/{reservation_id}/extend"): ITS_BUYER,
    ("POST", "/reservations/{reservation_id}/cancel"): ITS_BUYER,
    ("GET", "/audit/accounts"): AUDITORS,
    ("GET", "/audit/domain-events"): AUDITORS,
    ("GET", "/audit/events/{event_id}/as-of"): AUDITORS,
    ("GET", "/audit/events/{event_id}/story"): AUDITORS,
    ("GET", "/audit/reads"): AUDITORS,
    ("GET", "/audit/refused-attempts"): AUDITORS,
    ("GET", "/audit/reservations/{reservation_id}"): AUDITORS,
    ("GET", "/audit/events/{event_id}/buyers/{buyer_id}"): AUDITORS,
    ("GET", "/audit/seals"): AUDITORS,
    ("GET", "/analytics/events/{event_id}/sales"): ANALYSTS,
    ("GET", "/health/live"): EVERYBODY,
    ("GET", "/health/ready"): EVERYBODY,
    ("GET", "/problems"): EVERYBODY,
    ("GET", "/problems/{code}"): EVERYBODY,
    ("GET", "/docs"): EVERYBODY,
    ("GET", "/docs/assets/{name}"): EVERYBODY,
    ("GET", "/redoc"): EVERYBODY,
}
# Readiness answers with 503 while there is something to tell.
ANSWERED = (200, 201, 204, 503)
# What a route that is another's tells of it: that of a purchase not even that there is one.
DENIED = {ITS_BUYER: 404}


def routes_of(app: FastAPI) -> set[Route]:
    """Every route with each of its methods, as the application has them."""
    return {(method, route.path) for route in all_routes(app.routes) for method in route.methods}


def all_routes(routes: Any) -> list[APIRoute]:
    """Those of routers that were included, too."""
    found: list[APIRoute] = []
    for route in routes:
        included = getattr(route, "original_router", None)
        found += [route] if isinstance(route, APIRoute) else all_routes(included.routes) if included else []
    return found


def test_every_route_says_who_may_call_it(app: FastAPI) -> None:
    assert routes_of(app) == MAY_CALL.keys()


def test_every_route_that_knows_who_asks_says_what_a_key_needs(app: FastAPI) -> None:
    knowing = {
        (method, route.path)
        for route in all_routes(app.routes)
        for method in route.methods
        if account_if_any in calls(route.dependant)
    }
    assert knowing == NEEDS.keys()


def calls(dependant: Any) -> set[Any]:
    """What is asked before a route answers."""
    return {dependant.call}.union(*map(calls, dependant.dependencies))


class Stage:
    """An event with a reservation, and everybody who might ask about it."""

    def __init__(
        self, accounts: list[LoggedIn], event: dict[str, Any], reservation: dict[str, Any], logins: dict[str, Any]
    ) -> None:
        self.people: dict[str, LoggedIn | None] = {NOBODY: None}
        for name, account in zip(WITH_ACCOUNT, accounts, strict=True):
            roles = [name] if name in (AUDITOR, ANALYST, ADMIN) else []
            self.people[name] = account._replace(token=token_of(JWT_SECRET, UUID(account.id), *roles))
        self.event, self.reservation, self.logins = event, reservation, logins

    def asked(self, route: Route, known: LoggedIn) -> dict[str, Any]:
        """A request that is all right but for who sends it."""
        method, path = route
        buyer = self.people[BUYER]
        assert buyer is not None
        ids = {
            "event_id": self.event["id"],
            "reservation_id": self.reservation["id"],
            "buyer_id": buyer.id,
            "key_id": self.logins["key_id"],
        }
        request: dict[str, Any] = {"method": method, "url": path.format(**ids, code="sold-out", name="swagger-ui.css")}
        login = {"email": f"{uuid4().hex}@example.com", "password": "correct horse battery", "name": "Ada"}
        bodies: dict[Route, dict[str, Any]] = {
            ("POST", "/auth/register"): {"json": login},
            ("POST", "/auth/login"): {"data": {"username": known.email, "password": login["password"]}},
            ("POST", "/auth/refresh"): {"json": {"refresh_token": self.logins["refresh_token"]}},
            ("POST", "/auth/password-reset"): {"json": {"token": "x", "password": "a battery of horses"}},
            ("POST", "/auth/api-keys"): {"json": {"name": "a program", "scopes": ["read"]}},
            ("PATCH", "/auth/me"): {"json": {"city": "Riga"}},
            ("PUT", "/auth/password"): {"json": {"current_password": PASSWORD, "password": "a battery of horses"}},
            ("PUT", "/auth/email"): {"json": {"current_password": PASSWORD, "email": login["email"]}},
            ("POST", "/events"): {"json": event_body()},
            ("PATCH", "/events/{event_id}"): {"json": {"max_per_buyer": 50}},
            ("POST", "/events/{event_id}/ticket-types"): {"json": ticket_type(uuid4().hex)},
            ("POST", "/events/{event_id}/withhold"): {"json": {"quantity": 1}},
            ("POST", "/events/{event_id}/return"): {"json": {"quantity": 1}},
            ("POST", "/reservations"): {"json": {"event_id": self.event["id"]}},
            ("GET", "/audit/accounts"): {"params": {"email": known.email}},
            ("GET", "/audit/events/{event_id}/as-of"): {"params": {"at": self.reservation["placed_at"]}},
        }
        if path == "/auth/password-reset":
            bodies[route]["json"]["token"] = self.logins["reset_tokens"].pop()
        return request | bodies.get(route, {})


async def set_stage(app: FastAPI, client: httpx2.AsyncClient) -> Stage:
    accounts = await crowd(app, len(WITH_ACCOUNT))
    people = dict(zip(WITH_ACCOUNT, accounts, strict=True))
    for role in (AUDITOR, ANALYST, ADMIN):
        await set_roles(app, people[role], role)
    starts_at = instant(TOMORROW)
    offer = {"total_tickets": 50, "max_per_buyer": 40, "hold_extension_seconds": 60, "starts_at": starts_at}
    event = await new_event(client, people[ORGANISER], **offer)
    held_back = {"url": f"/events/{event['id']}/withhold", "json": {"quantity": 9}}
    assert (await client.post(**held_back, headers=people[ORGANISER].headers)).status_code == 200
    response = await reserve(client, people[BUYER], event)
    position = response.headers["tixxety-position"]
    assert (await client.get("/events", params={"min_position": position})).status_code == 200
    await set_passwords(app, accounts)
    async with app.state.services.pool.connection() as connection:
        proved = Credentials(UUID(people[BUYER].id), password_hash(), [])
        session = await app.state.services.sessions.begin(connection, proved)
        buyer = Account(session.account_id, session.session_id)
        key, _ = await api_keys.create(connection, buyer, name="a program", scopes=["read"], expires_at=None)
    logins = {"refresh_token": session.refresh_token, "key_id": key.id}
    logins["reset_tokens"] = await reset_tokens(app, len(EVERYBODY))
    return Stage(accounts, event, response.json(), logins)


async def test_a_route_answers_those_who_may_call_it_and_nobody_else(
    app: FastAPI, client: httpx2.AsyncClient, new_account: LogIn, database_url: str
) -> None:
    """Each with a stage of its own: who may call it can delete, pay or cancel what is on it."""
    told, denied = {}, {}
    async with folding(database_url):
        for route, may_call in MAY_CALL.items():
            known, stage = await new_account(), await set_stage(app, client)
            told[route] = await statuses(client, stage, route, known)
            refused = {name: 401 if name == NOBODY else DENIED.get(may_call, 403) for name in EVERYBODY}
            denied[route] = {name: status for name, status in refused.items() if name not in may_call}
    assert {route: without_answered(statuses) for route, statuses in told.items()} == denied


async def statuses(client: httpx2.AsyncClient, stage: Stage, route: Route, known: LoggedIn) -> dict[str, int]:
    """What everybody is told who calls the route, one after the other."""
    told = {}
    for name, person in stage.people.items():
        headers = person.headers if person else {}
        told[name] = (await client.request(**stage.asked(route, known), headers=headers)).status_code
    return told


def without_answered(statuses: dict[str, int]) -> dict[str, int]:
    return {name: status for name, status in statuses.items() if status not in ANSWERED}
