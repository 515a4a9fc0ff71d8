"""200 buyers at once for 50 tickets, over HTTP against one process and two: as many as there are, and not one more."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import psycopg

from tests.begun_sessions import BEGIN_SESSIONS, token_of
from tests.proof.proof import faults
from tests.running import NO_CERTIFICATES, free_port, until_ready
from tests.tixxety.forked import running_command

SECRET = "a secret for tests, and for nothing else"
TICKETS, BUYERS = 50, 200
REGISTER = """
INSERT INTO tixxety.accounts (account_id, email, password_hash, name)
SELECT id, id || '@example.com', 'none', 'Somebody' FROM unnest(%s::uuid[]) AS id
"""


async def rush(urls: list[str], tokens: list[str]) -> list[tuple[int, Any]]:
    """The first makes the event; then each asks for a ticket, the processes in turn. Statuses and problem types."""
    starts_at = datetime.now(UTC) + timedelta(days=1)
    ends_at = starts_at + timedelta(hours=2)
    event = {"title": f"Rush {uuid4()}", "starts_at": starts_at.isoformat(), "ends_at": ends_at.isoformat()}
    limits = httpx2.Limits(max_connections=BUYERS)
    async with httpx2.AsyncClient(timeout=30, limits=limits, verify=NO_CERTIFICATES) as client:

        async def post(url: str, path: str, token: str, body: dict[str, Any]) -> httpx2.Response:
            return await client.post(f"{url}{path}", json=body, headers={"Authorization": f"Bearer {token}"})

        created = await post(urls[0], "/events", tokens[0], event | {"total_tickets": TICKETS})
        wish = {"event_id": created.json()["id"]}
        asking = (post(url, "/reservations", token, wish) for url, token in zip(cycle(urls), tokens, strict=False))
        answers = await asyncio.gather(*asking)
    return [(answer.status_code, answer.json().get("type")) for answer in answers]


def test_a_rush_sells_each_ticket_once(database_url: str, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": database_url, "JWT_SECRET": SECRET, "HOME": str(tmp_path)}
    ports = [free_port() for _ in range(2)]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    ids = [uuid4() for _ in range(BUYERS)]
    with ExitStack() as stack, psycopg.connect(database_url, autocommit=True) as connection:
        started = []
        for arguments in (["worker"], *(["serve", "--port", str(port)] for port in ports)):
            log = tmp_path / f"{len(started)}.log"
            started.append((stack.enter_context(running_command(arguments, environment, log)), log))
        for url in urls:
            until_ready(f"{url}/health/ready", *started)
        connection.execute(REGISTER, (ids,))
        connection.execute(BEGIN_SESSIONS.encode(), {"ids": ids})
        tokens = [token_of(SECRET, i) for i in ids]
        for asked in (urls[:1], urls):
            answers = Counter(asyncio.run(rush(asked, tokens)))
            assert answers == {(201, None): TICKETS, (409, "/problems/sold-out"): BUYERS - TICKETS}
        assert faults(database_url) == []
