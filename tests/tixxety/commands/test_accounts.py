"""`tixxety grant`, `revoke` and `reset-password` on the command line: what they say, and to whom they say no."""

import psycopg
import pytest

from accounts.password_resets import PREFIX
from tests.tixxety.forked import run_command
from tixxety.commands.accounts import reset_password
from tixxety.errors import Failure

REGISTER = """
INSERT INTO tixxety.accounts (account_id, email, password_hash, name)
VALUES (gen_random_uuid(), 'ann@example.com', 'none', 'Ann')
"""


def test_a_role_that_does_not_exist_and_an_account_that_does_not(database_url: str) -> None:
    unknown_role = run_command("grant", "ann@example.com", "boss", DATABASE_URL=database_url)
    unknown_account = run_command("grant", "ann@example.com", "admin", DATABASE_URL=database_url)
    for refused, words in ((unknown_role, "auditor, analyst"), (unknown_account, "no account")):
        assert refused.returncode == 2
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_a_token_or_a_link_is_printed_alone_and_what_it_is_beside_it(database_url: str) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute(REGISTER)
    page = "https://shop.example/new-password"
    token = run_command("reset-password", "ANN@example.com", DATABASE_URL=database_url)
    link = run_command("reset-password", "ann@example.com", "--page", page, DATABASE_URL=database_url)
    for printed, beginning in ((token, PREFIX), (link, f"{page}#{PREFIX}")):
        assert printed.returncode == 0, printed.stderr
        assert printed.stdout.startswith(beginning)
        assert len(printed.stdout.splitlines()) == len(printed.stderr.splitlines()) == 1
        assert "60 minutes" in printed.stderr
    assert token.stdout != link.stdout.rpartition("#")[2]


@pytest.mark.parametrize(
    "page",
    [
        "javascript:alert(1)",
        "javascript://shop.example/%0aalert(1)",
        "https://shop.example/new#f",
        "https://shop.example/new#",
        "shop.example/new",
        "/new-password",
        "https:///new",
        "https://[shop/new",
        "https://shop.example/new password",
        "https://shop.example/\nnew",
        "ftp://shop.example/new",
        "",
    ],
)
def test_a_page_that_no_link_can_be_made_of_is_refused_and_no_token_made(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before any database is looked for."""
    with pytest.raises(Failure) as refused:
        reset_password("ann@example.com", page)
    assert str(refused.value).startswith("--page has to be the whole URL of a page")
    assert len(str(refused.value).splitlines()) == 1
    assert capsys.readouterr() == ("", "")


def test_what_is_no_page_ends_with_one_sentence(database_url: str) -> None:
    refused = run_command("reset-password", "ann@example.com", "--page", "javascript:x", DATABASE_URL=database_url)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)
    assert "without a fragment" in refused.stderr


def test_an_account_that_does_not_exist_is_told(database_url: str) -> None:
    unknown = run_command("reset-password", "ann@example.com", DATABASE_URL=database_url)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no account" in unknown.stderr
    assert len(unknown.stderr.splitlines()) == 1
