"""What a run's figures belong to."""

import subprocess
from pathlib import Path

from bench.commit_and_versions import commit, libraries

ROOT = Path(__file__).parents[2]


def test_a_commit_is_told_with_whether_files_differ_from_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        return subprocess.check_output(["git", *who, *arguments], cwd=tmp_path, text=True).strip()

    assert commit(tmp_path) is None
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "Begin")
    assert commit(tmp_path) == {"id": git("rev-parse", "HEAD"), "is_changed": False}
    (tmp_path / "new").touch()
    assert commit(tmp_path) == {"id": git("rev-parse", "HEAD"), "is_changed": True}


def test_every_library_that_the_project_names_is_told_by_its_version() -> None:
    told = libraries(ROOT / "pyproject.toml")
    assert {"fastapi", "psycopg", "asyncpg", "pyjwt"} <= set(told)
    assert all(version[0].isdigit() for version in told.values())
