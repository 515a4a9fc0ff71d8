"""Rushes on our box office and on baselines, each followed by a look at what was recorded."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2

from accounts.tokens import Tokens
from bench.comparison import Measured
from bench.load import Clients, Load, request
from bench.processor_time import each_us
from bench.testbed import ROOT, SECRET, TOKEN_SECONDS, Testbed, connect
from bench.waiting_until_quiet import until_folded, until_quiet
from tests.proof.proof import faults

LONG_HOLD_SECONDS = 86_400
HUGE = 10_000_000
UNAUDITED_WORKER = ("-m", "bench.baselines.unaudited")
NO_EVENT = {"event_id": str(UUID(int=1))}

# Of these events alone: what clients of the run before had asked for may be recorded when they are gone.
RECORDED = """
SELECT count(*), count(DISTINCT (placed ->> 'buyer_id', placed ->> 'event_id'))
FROM stored_events, LATERAL (SELECT convert_from(state, 'UTF8')::json) AS one (placed)
WHERE topic = 'ReservationPlaced' AND notification_id > %s AND placed ->> 'event_id' = ANY(%s)
"""
# All rows of one transaction carry its number, and all rows of one command end at its last position.
GROUPS = """
SELECT coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY commands), 0), coalesce(max(commands), 0)
FROM (SELECT count(DISTINCT command_position) AS commands FROM stored_events
      WHERE notification_id > %s GROUP BY xmin::text) AS one_group
"""


@dataclass(frozen=True)
class Site:
    """A box office of ours that runs: its API, its database, and the testbed that it is in."""

    testbed: Testbed
    url: str
    database_url: str
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=30))

    def open_event(self, **details: Any) -> dict[str, Any]:
        """A new event of the first account, as the API answers it."""
        starts_at = datetime.now(UTC) + timedelta(days=30)
        body: dict[str, Any] = {
            "title": f"Rush {uuid4()}",
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + timedelta(hours=2)).isoformat(),
            "hold_seconds": LONG_HOLD_SECONDS,
        }
        if "ticket_types" not in details:
            body["total_tickets"] = HUGE
        return self.post("/events", body | details)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to one POST of the first account, which has to succeed."""
        headers = {"Authorization": f"Bearer {self.testbed.tokens[0]}"}
        answer = self.http.post(self.url + path, json=body, headers=headers).raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def head(self) -> int:
        """The last position, once everything up to it is folded."""
        return until_folded(self.database_url)

    def faults(self) -> list[str]:
        """All that is wrong with the whole history and its projections, judged from the rows alone."""
        self.head()
        return faults(self.database_url)


@contextmanager
def opened(
    testbed: Testbed,
    processes: int = 1,
    fill: Callable[[str], object] | None = None,
    *,
    audited: bool = True,
    tree: Path = ROOT,
) -> Iterator[Site]:
    """A box office of ours with a worker, on a database that `fill` may fill before; `audited` as it always is.

    `tree` is a folder with the version to run.
    """
    database_url = testbed.database(tree)
    with ExitStack() as stack:
        stack.callback(testbed.drop, database_url)
        if fill is not None:
            fill(database_url)
        if audited:
            stack.enter_context(testbed.worker(database_url, tree=tree))
            url = stack.enter_context(testbed.api(database_url, processes, tree))
        else:
            stack.enter_context(testbed.worker(database_url, UNAUDITED_WORKER))
            url = stack.enter_context(testbed.baseline("unaudited", database_url))
        site = Site(testbed, url, database_url)
        site.head()
        yield site


def wishes(url: str, tokens: Iterable[str], bodies: Sequence[dict[str, Any]]) -> list[bytes]:
    """One request to reserve per buyer, for each body in turn."""
    parts = [request("POST", url, "/reservations", "TOKEN", body).split(b"TOKEN") for body in bodies]
    return [token.encode().join(parts[n % len(parts)]) for n, token in enumerate(tokens)]


def sold_out_but_one_in(site: Site, asked: int) -> list[dict[str, Any]]:
    """Bodies that ask for what is gone, but for the last of so many; all for one new event."""
    stalls = {"name": "Stalls", "capacity": HUGE, "amount_minor": 2500, "currency": "EUR"}
    event = site.open_event(ticket_types=[stalls, {**stalls, "name": "Box", "capacity": 1}])
    left, box = ({"event_id": event["id"], "ticket_type_id": t["id"]} for t in event["ticket_types"])
    site.post("/reservations", box)
    return [box] * (asked - 1) + [left]


def rush(
    site: Site,
    bodies: Sequence[dict[str, Any]],
    connections: int,
    seconds: float,
    *,
    tokens: Sequence[str] | None = None,
    refusals_expected: bool = False,
    pace: float = 0,
    watched: AbstractContextManager[None] | None = None,
) -> Measured:
    """Distinct buyers reserve as fast as they are answered, or `pace` of them a second.

    What they were told is held against the history. The first account, which opens the events, is not among them.
    """
    event_ids = [str(body["event_id"]) for body in bodies]
    asked = wishes(site.url, tokens or site.testbed.tokens[1:], bodies)
    before = site.head()
    by_status = refusals_expected
    (load,), spent = loaded(
        site.testbed,
        site.url,
        lambda: site.testbed.clients(site.url, asked, connections, seconds, by_status=by_status, pace=pace),
        watched=watched,
    )
    with connect(site.database_url) as connection:
        ((recorded, distinct),) = connection.execute(RECORDED, (before, event_ids)).fetchall()
        ((group_p50, group_max),) = connection.execute(GROUPS, (before,)).fetchall()
    found = []
    if not load.accepted <= recorded <= load.accepted + connections:
        found.append(f"{load.accepted} were accepted and {recorded} recorded")
    # Once all have had their turn they come again, which an event may allow.
    if distinct != recorded and load.answers + connections <= len(asked):
        found.append(f"{recorded - distinct} buyers have tickets that they did not ask for")
    seen = seen_of(load, len(asked), refusals_expected) | {"group_p50": group_p50, "group_max": group_max} | spent
    return Measured(load.per_second, seen, found)


def rush_baseline(
    testbed: Testbed,
    url: str,
    connections: int,
    seconds: float,
    bodies: Sequence[dict[str, Any]] = (NO_EVENT,),
    refusals_expected: bool = False,
    pace: float = 0,
) -> Measured:
    """The same on a baseline; what it has recorded is for the caller to check."""
    asked = wishes(url, testbed.tokens, bodies)
    by_status = refusals_expected
    (load,), spent = loaded(
        testbed, url, lambda: testbed.clients(url, asked, connections, seconds, by_status=by_status, pace=pace)
    )
    return Measured(load.per_second, seen_of(load, len(asked), refusals_expected) | spent, [])


def loaded(
    testbed: Testbed, url: str, *begin: Callable[[], Clients], watched: AbstractContextManager[None] | None = None
) -> tuple[list[Load], dict[str, float]]:
    """Begin with all these clients once all is folded; what each saw, and processor time until all is quiet again.

    So the next begins in quiet, and what is folded and sealed only after the last answer counts. The time is in
    microseconds an answer, whoever got it. `watched` is entered while there are clients.
    """
    for program in testbed.workers():
        until_folded(program.database_url)
    before = testbed.processor_time()
    with watched or nullcontext():
        loads = [clients.load() for clients in [each() for each in begin]]
    until_quiet(testbed)
    answers = sum(load.answers for load in loads)
    spent = each_us(testbed.spent(before, url), answers)
    return loads, spent | {"clients_us": sum(load.processor_seconds for load in loads) / answers * 1e6}


def seen_of(load: Load, buyers: int, refusals_expected: bool) -> dict[str, float]:
    """What every report shows of the clients' side.

    An error is an answer that should not have come: any refusal, or where refusals are part of the rush, any but 409.
    When all buyers have had their turn they come again, and are refused by right.
    """
    errors = load.broken
    if refusals_expected:
        errors += sum(count for status, count in load.statuses.items() if status not in (200, 201, 409))
    elif load.answers <= buyers:
        errors += load.refused
    return {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms, "p999_ms": load.p999_ms, "errors": errors}


def unseen_tokens(testbed: Testbed) -> list[str]:
    """New tokens of all buyers, that no process has verified yet."""
    tokens = Tokens(SECRET)
    return [tokens.make(buyer, ["analyst"], buyer, TOKEN_SECONDS) for buyer in testbed.buyers]
