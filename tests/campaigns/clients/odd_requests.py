"""What no client means to send: schemathesis makes requests of the document, and judges the answers by it."""

import sys
from pathlib import Path

from tests.campaigns.clients.installed import run
from tests.running import ROOT, http

EMAIL, PASSWORD = "odd@example.com", "correct horse battery"
ROLES = ("admin", "auditor", "analyst")
# With the account or its session all that comes after would be gone.
ENDS_THE_SESSION = "^(deleteAccount|logOut.*|changePassword|changeEmail)$"
# 503 says when to ask again, and a machine that is busy with other things may come to it; it is judged by the document.
CONFIGURATION = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
OPTIONS = (
    "--phases=examples,coverage,fuzzing",
    "--max-examples=20",
    "--seed=1",
    "--workers=2",
    "--continue-on-failure",
    "--output-truncate=false",
    "--warnings=off",
    # Of two fields that have to fit each other, and of a cursor that has to be a list's own, a schema can say nothing.
    "--exclude-checks=positive_data_acceptance",
    f"--exclude-operation-id-regex={ENDS_THE_SESSION}",
)


def judge(url: str, home: Path, installed: Path, folder: Path) -> str:
    """What it did, in its last line. Raises AssertionError with what it found to be wrong."""
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    token = f"Authorization: Bearer {somebody_who_may_all(url, home)}"
    said = run(
        str(installed / "schemathesis"), "run", f"{url}/openapi.json", "--header", token, *OPTIONS, folder=folder
    )
    return said.strip().splitlines()[-1].strip("= ")


def somebody_who_may_all(url: str, home: Path) -> str:
    """A token of an account with every role: what it may not do, nobody may."""
    http().post(f"{url}/auth/register", json={"email": EMAIL, "password": PASSWORD, "name": "Odd"}).raise_for_status()
    for role in ROLES:
        grant = (sys.executable, "-m", "tixxety", "grant", EMAIL, role, "--home", str(home))
        run(*grant, folder=ROOT, HOME=str(home), TIXXETY_NO_VENV="1")
    answer = http().post(f"{url}/auth/login", data={"username": EMAIL, "password": PASSWORD}).raise_for_status()
    return str(answer.json()["access_token"])
