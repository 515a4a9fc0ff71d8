"""`tixxety grant` and `tixxety revoke` on the command line: what they say."""

from tests.tixxety.forked import run_command


def test_a_role_that_does_not_exist_and_an_account_that_does_not(database_url: str) -> None:
    unknown_role = run_command("grant", "ann@example.com", "boss", DATABASE_URL=database_url)
    unknown_account = run_command("grant", "ann@example.com", "admin", DATABASE_URL=database_url)
    for refused, words in ((unknown_role, "auditor, analyst"), (unknown_account, "no account")):
        assert refused.returncode == 2
        assert words in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
