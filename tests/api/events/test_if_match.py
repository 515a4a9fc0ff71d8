"""If-Match: which editions it names, what names none, and what is no list of tags at all."""

import httpx2
import pytest
from fastapi import FastAPI

from api.events.if_match import IfMatch


@pytest.fixture
async def client() -> httpx2.AsyncClient:
    app = FastAPI()

    @app.get("/")
    async def named(if_match: IfMatch = None) -> dict[str, list[int] | None]:
        return {"named": None if if_match is None else sorted(if_match)}

    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://one-route")


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ('"12"', [12]),
        ('"12","3" , "12"', [3, 12]),
        (', "12",, "3",', [3, 12]),
        # The ETag of an event's answer begins with its edition.
        ('"12-0123456789abcdef0123456789abcdef"', [12]),
        ('"12-0123456789abcdef"', []),
        ('W/"12-0123456789abcdef0123456789abcdef"', []),
        # Weak ones never match, nor does the ETag of a list, or whatever else is no edition.
        ('W/"12"', []),
        ('W/"12", "3"', [3]),
        ('"0f6ad4c7a8b3e2d1"', []),
        ('"stale"', []),
        ('"012"', []),
        ('"-1"', []),
        ('""', []),
        ('"1 2"', "bad"),
        ('"é"', []),
        ('"99999999999999999999999"', []),
        ("12", "bad"),
        ("", "bad"),
        (",", "bad"),
        ('"12', "bad"),
        ('"12" "3"', "bad"),
        ('*, "12"', "bad"),
        ('w/"12"', "bad"),
        ('"12"x', "bad"),
        (', \t"12" \t,', [12]),
        ('"a,12", "12"', [12]),
        # Whoever looks for all ways to take the blanks apart does not come to an end.
        ('"1"' + ", " * 10_000 + "x", "bad"),
        ('"1"' + " " * 30_000 + "x", "bad"),
        ("\t ," * 10_000 + '"12"', [12]),
    ],
)
async def test_what_is_named(client: httpx2.AsyncClient, sent: str | None, named: list[int] | str | None) -> None:
    headers = {} if sent is None else {b"If-Match": sent.encode("latin-1")}
    answered = await client.get("/", headers=headers)
    assert answered.status_code == (422 if named == "bad" else 200)
    if named != "bad":
        assert answered.json()["named"] == named


async def test_two_headers_are_one_list(client: httpx2.AsyncClient) -> None:
    answered = await client.get("/", headers=[("If-Match", '"1"'), ("If-Match", '"2"')])
    assert answered.json()["named"] == [1, 2]
