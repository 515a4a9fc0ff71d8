"""A client in TypeScript: its types made by openapi-typescript, checked as strictly as can be, and played with."""

import shutil
from pathlib import Path

from tests.campaigns.clients.installed import of_guide, run

NAME = "openapi-typescript"
SOURCES = Path(__file__).parent / "typescript"
# It has `fetch`, and may wait for an answer at the top of a module.
OLDEST_NODE = 18


def why_not() -> str | None:
    """In one sentence, why it can't be made on this machine."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "There is no Node.js with npm on this machine: no client in TypeScript was tried."
    version = run("node", "--version", folder=SOURCES).strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        return f"Node.js {version} is older than {OLDEST_NODE}: no client in TypeScript was tried."
    return None


def story(url: str, folder: Path, hold_seconds: int) -> str:
    """What the README's story says when it is played with those types at the box office there."""
    shutil.copytree(SOURCES, folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", folder=folder)
    programs = folder / "node_modules" / ".bin"
    run("sh", "-c", of_guide(NAME), folder=folder, API=url, PATH=str(programs))
    run(str(programs / "tsc"), "--project", ".", folder=folder)
    return run("node", "story.js", folder=folder, API=url, HOLD_SECONDS=str(hold_seconds))
