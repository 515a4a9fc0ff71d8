"""How often one address may knock, and whose address a request comes from."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.app import ApiConfig
from api.http.errors import RateLimited
from api.http.rate_limits import FAILED_LOGINS, REQUESTS, RateLimits
from tests.api.conftest import PASSWORD, problem_of

PROXY = "10.0.0.1"


@pytest.fixture
def config(config: ApiConfig) -> ApiConfig:
    """The limits are on, and httpx2's 127.0.0.1 is a trusted proxy, so that tests can come from anywhere."""
    return replace(config, rate_limits=True, trusted_proxies=("127.0.0.0/8",))


def coming_from(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


async def fail_to_log_in(client: httpx2.AsyncClient, email: str, address: str) -> httpx2.Response:
    form = {"username": email, "password": "wrong horse"}
    return await client.post("/auth/login", data=form, headers=coming_from(address))


async def test_failed_logins_are_limited_for_one_address_and_one_account(client: httpx2.AsyncClient) -> None:
    for email in ("ada@example.com", "bob@example.com"):
        await client.post("/auth/register", json={"email": email, "password": PASSWORD, "name": "A"})
    for _ in range(FAILED_LOGINS.amount):
        problem_of(await fail_to_log_in(client, "ADA@example.com", "203.0.113.1"), 401, "invalid-credentials")

    refused = await fail_to_log_in(client, "ada@example.com", "203.0.113.1")
    problem = problem_of(refused, 429, "rate-limited")
    assert 1 <= problem["retry_after_seconds"] <= FAILED_LOGINS.get_expiry() + 1
    assert refused.headers["retry-after"] == str(problem["retry_after_seconds"])

    right = {"username": "ada@example.com", "password": PASSWORD}
    guessed = await client.post("/auth/login", data=right, headers=coming_from("203.0.113.1"))
    problem_of(guessed, 429, "rate-limited")
    elsewhere = await client.post("/auth/login", data=right, headers=coming_from("203.0.113.2"))
    assert elsewhere.status_code == 200
    other = {"username": "bob@example.com", "password": PASSWORD}
    assert (await client.post("/auth/login", data=other, headers=coming_from("203.0.113.1"))).status_code == 200


async def test_unknown_emails_are_limited_alike(client: httpx2.AsyncClient) -> None:
    for _ in range(FAILED_LOGINS.amount):
        problem_of(await fail_to_log_in(client, "nobody@example.com", "203.0.113.1"), 401, "invalid-credentials")
    problem_of(await fail_to_log_in(client, "nobody@example.com", "203.0.113.1"), 429, "rate-limited")


async def test_successful_logins_are_not_counted_as_failed(client: httpx2.AsyncClient) -> None:
    await client.post("/auth/register", json={"email": "ada@example.com", "password": PASSWORD, "name": "A"})
    right = {"username": "ada@example.com", "password": PASSWORD}
    for _ in range(FAILED_LOGINS.amount + 1):
        assert (await client.post("/auth/login", data=right)).status_code == 200


async def test_requests_to_accounts_are_limited_by_address_before_they_are_read(client: httpx2.AsyncClient) -> None:
    for _ in range(REQUESTS.amount):
        answered = await client.post("/auth/login", content="{", headers=coming_from("203.0.113.9"))
        assert answered.status_code == 415
    for path in ("/auth/login", "/auth/register", "/auth/me", "/auth/nothing"):
        refused = await client.post(path, content="{", headers=coming_from("203.0.113.9"))
        problem = problem_of(refused, 429, "rate-limited")
        assert 1 <= problem["retry_after_seconds"] <= 61
        assert refused.headers["retry-after"] == str(problem["retry_after_seconds"])
    assert (await client.get("/health/live", headers=coming_from("203.0.113.9"))).status_code == 200
    problem_of(await client.get("/auth/me", headers=coming_from("203.0.113.10")), 401, "not-authenticated")


async def test_limits_that_are_off_refuse_nothing() -> None:
    limits = RateLimits(on=False)
    for _ in range(REQUESTS.amount + 1):
        await limits.count_request("203.0.113.1")
    for _ in range(FAILED_LOGINS.amount + 1):
        await limits.count_failed_login("203.0.113.1", "ada@example.com")
    await limits.check_login("203.0.113.1", "ada@example.com")


async def test_guesses_sent_at_once_are_not_answered_beyond_the_limit() -> None:
    limits = RateLimits(on=True)
    for _ in range(2 * FAILED_LOGINS.amount):
        await limits.check_login("203.0.113.1", "bob@example.com")
    for _ in range(FAILED_LOGINS.amount):
        await limits.count_failed_login("203.0.113.1", "ada@example.com")
    with pytest.raises(RateLimited):
        await limits.count_failed_login("203.0.113.1", "ada@example.com")
    with pytest.raises(RateLimited):
        await limits.check_login("203.0.113.1", "ada@example.com")


def scope(client: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "client": (client, 1234) if client else None, "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("203.0.113.1", [], "203.0.113.1"),
        ("203.0.113.1", ["198.51.100.1"], "203.0.113.1"),
        (PROXY, [], PROXY),
        (PROXY, ["198.51.100.1"], "198.51.100.1"),
        (PROXY, ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        (PROXY, ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        (PROXY, ["198.51.100.1, 192.168.3.4"], "198.51.100.1"),
        (PROXY, ["198.51.100.1:40001"], "198.51.100.1"),
        (PROXY, ["6.6.6.6:1, 198.51.100.1:40001, 192.168.3.4:443"], "198.51.100.1"),
        (PROXY, ["[2001:db8:1:2::7]:40001"], "2001:db8:1:2::/64"),
        (PROXY, ["[2001:db8:1:2::7]"], "2001:db8:1:2::/64"),
        (PROXY, ["[::ffff:198.51.100.1]:40001"], "198.51.100.1"),
        (PROXY, ["[198.51.100.1:40001"], PROXY),
        (PROXY, ["198.51.100.1:port"], PROXY),
        (PROXY, ["nonsense"], PROXY),
        (PROXY, ["6.6.6.6, nonsense"], PROXY),
        (PROXY, [""], PROXY),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        (PROXY, ["2001:db8:1:2:ffff::1"], "2001:db8:1:2::/64"),
        (None, ["198.51.100.1"], "local"),
        ("unix:/run/x", [], "local"),
    ],
)
def test_only_trusted_proxies_may_say_where_a_request_comes_from(
    client: str | None, forwarded: list[str], address: str
) -> None:
    limits = RateLimits(on=True, trusted_proxies=(PROXY, "192.168.0.0/16"))
    assert limits.address_of(scope(client, *forwarded)) == address
