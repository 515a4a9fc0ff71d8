"""The documentation for people is whole, ours, and lets nothing in from elsewhere."""

import hashlib
import re
from pathlib import Path

import httpx2
import pytest

from api.docs import browser_pages
from tests.api.conftest import problem_of

ASSETS = Path(browser_pages.__file__).parent / "assets"
NOTED = re.compile(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)
LOADED = re.compile(r'(?:src|href)="([^"]+)"')
INLINE = re.compile(r"<(?:script|style)>(.*?)</(?:script|style)>", re.DOTALL)


def test_what_others_made_is_as_they_published_it() -> None:
    noted = dict(NOTED.findall((ASSETS / "README.md").read_text()))
    assert noted.keys() == {path.name for path in ASSETS.iterdir() if path.suffix in (".js", ".css")}
    for name, digest in noted.items():
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == digest, name
    assert {"swagger-ui.LICENSE", "swagger-ui.NOTICE", "redoc.LICENSE"} <= {path.name for path in ASSETS.iterdir()}


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/problems", "/problems/sold-out"])
async def test_a_page_loads_only_what_is_ours(client: httpx2.AsyncClient, page: str) -> None:
    answered = await client.get(page, headers={"Accept": "text/html"})
    assert answered.headers["content-type"].startswith("text/html")
    policy = answered.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    for inline in INLINE.findall(answered.text):
        assert browser_pages.source_hash(inline) in policy
    loaded = [address for address in LOADED.findall(answered.text) if not address.startswith(("data:", "/problems"))]
    for address in loaded:
        assert (await client.get(f"/{address}")).status_code == 200, address
    assert bool(loaded) == (page in ("/docs", "/redoc"))


async def test_no_script_is_let_in_by_a_wildcard(client: httpx2.AsyncClient) -> None:
    for page in ("/docs", "/redoc"):
        policy = (await client.get(page)).headers["content-security-policy"]
        (scripts,) = [part for part in policy.split("; ") if part.startswith("script-src")]
        assert re.fullmatch(r"script-src 'self' 'sha256-[^']+'", scripts)
    assert "unsafe-inline" not in (await client.get("/docs")).headers["content-security-policy"]


async def test_assets_are_kept_by_browsers_and_asked_for_by_name_only(client: httpx2.AsyncClient) -> None:
    first = await client.get("/docs/assets/swagger-ui.css")
    again = await client.get("/docs/assets/swagger-ui.css", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    for path in ("/docs/assets/..%2fapp.py", "/docs/assets/nothing.js", "/docs/assets/"):
        problem_of(await client.get(path), 404, "not-found")
    refused = await client.delete("/docs/assets/swagger-ui.css")
    problem_of(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET, HEAD"
