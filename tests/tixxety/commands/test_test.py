"""`tixxety test`: which database the tests get, and what it ends with."""

from pathlib import Path

from tests.tixxety.forked import run_command

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def test_the_tests_heed_their_own_database_alone(server_url: str, tmp_path: Path) -> None:
    one = "tests/tixxety/test_settings.py::test_nothing_has_to_be_set"
    ours = {"DATABASE_URL": NOWHERE, "TIXXETY_HOME": str(tmp_path / "home"), "JWT_SECRET": "short"}
    passed = run_command("test", "-n0", "-q", "-p", "no:cacheprovider", one, TEST_DATABASE_URL=server_url, **ours)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "1 passed" in passed.stdout
    assert not (tmp_path / "home").exists()


def test_the_tests_bring_a_database_and_take_it_away(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, psycopg\n"
        "def test_it():\n"
        "    url = os.environ['TEST_DATABASE_URL']\n"
        "    open(os.environ['NOTE'], 'w').write(url)\n"
        "    psycopg.connect(url).close()\n"
    )
    note = tmp_path / "note"
    passed = run_command("test", "-n0", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py"), NOTE=str(note))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    refused = run_command("migrate", DATABASE_URL=note.read_text())
    assert "does not answer" in refused.stderr


def test_a_test_that_fails_fails_the_command(server_url: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert not 'right'\n")
    arguments = ["-n0", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_it.py")]
    assert run_command("test", *arguments, TEST_DATABASE_URL=server_url).returncode == 1
