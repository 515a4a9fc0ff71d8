"""A client in Python: made by openapi-python-client, imported module by module, type-checked, and played with."""

import sys
from pathlib import Path

from tests.campaigns.clients.installed import of_guide, run
from tests.running import ROOT

NAME = "openapi-python-client"
PACKAGE = "tixxety_client"
STORY = Path(__file__).parent / "python" / "story.py"
# Says the name of each module that it has imported.
IMPORT_ALL = f"""
import importlib, pkgutil, {PACKAGE} as package
for module in pkgutil.walk_packages(package.__path__, "{PACKAGE}."):
    importlib.import_module(module.name)
    print(module.name)
"""


def story(url: str, installed: Path, folder: Path, hold_seconds: int) -> str:
    """What the README's story says when the client plays it at the box office there."""
    folder.mkdir()
    command = f"{of_guide(NAME)} --fail-on-warning"
    complaints = run("sh", "-c", command, folder=folder, API=url, PATH=str(installed))
    assert "Warning" not in complaints, complaints
    python = str(installed / "python")
    imported = run(python, "-c", IMPORT_ALL, folder=folder).split()
    assert f"{PACKAGE}.api.reservations.reserve" in imported
    mypy = [sys.executable, "-m", "mypy", "--python-executable", python, "--cache-dir", str(folder / "mypy")]
    # What all generated clients have in common is not ours to judge.
    run(*mypy, "--strict", "--follow-imports=silent", str(STORY), folder=folder, MYPYPATH=str(folder))
    return run(python, str(STORY), folder=ROOT, PYTHONPATH=str(folder), API=url, HOLD_SECONDS=str(hold_seconds))
