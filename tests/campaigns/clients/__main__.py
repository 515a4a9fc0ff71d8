"""Makes clients of the OpenAPI document and has each play the README's story: `python -m tests.campaigns.clients`.

Then schemathesis looks whether the answers are what the document says. All of them are installed into a temporary
folder; where there is no Node.js, the client in Python is all.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from tests.campaigns.clients import in_python, in_typescript, odd_requests
from tests.campaigns.clients.installed import environment
from tests.running import ROOT, free_port, running, until_ready

HOLD_SECONDS = 5
# All requests come from one address.
VARIABLES = {"TIXXETY_NO_VENV": "1", "RATE_LIMITS": "off"}
TOLD = re.compile(r"^```text\n(Cleo is refused.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Raises AssertionError for what does not work."""
    with tempfile.TemporaryDirectory(prefix="tixxety-clients-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with box_office(folder) as url:
            installed = environment(folder / "environment")
            check_story(in_python.NAME, in_python.story(url, installed, folder / "python", HOLD_SECONDS))
            if why_not := in_typescript.why_not():
                typer.echo(why_not)
            else:
                check_story(in_typescript.NAME, in_typescript.story(url, folder / "typescript", HOLD_SECONDS))
            typer.echo(f"schemathesis: {odd_requests.judge(url, folder / 'home', installed, folder)}.")


def check_story(name: str, said: str) -> None:
    """It has to say what the README says."""
    (told,) = TOLD.findall((ROOT / "README.md").read_text())
    wanted = told.replace("120", str(HOLD_SECONDS))
    assert said == wanted, f"{name}: {said}\ninstead of\n{wanted}"
    typer.echo(f"{name} makes a client that plays the README's story.")


@contextmanager
def box_office(folder: Path) -> Iterator[str]:
    """A whole one for the block: where its API is."""
    home, port = folder / "home", free_port()
    home.mkdir(mode=0o711)
    command = [sys.executable, "-m", "tixxety", "up", "--home", str(home), "--port", str(port)]
    with running(command, VARIABLES | {"HOME": str(home)}, folder / "up.log") as up:
        until_ready(f"http://127.0.0.1:{port}/health/ready", (up, folder / "up.log"))
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
