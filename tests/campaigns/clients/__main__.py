"""Makes clients of the OpenAPI document and has each play the README's story: `python -m tests.campaigns.clients`.

What makes them is installed into a temporary folder; where there is no Node.js, the ones in Python are all.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from tests.campaigns.clients import in_python, in_typescript
from tests.running import ROOT, free_port, running, until_ready

HOLD_SECONDS = 5
TOLD = re.compile(r"^```text\n(Cleo is refused.*?)^```$", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Raises AssertionError, or CalledProcessError, for what does not work."""
    (told,) = TOLD.findall((ROOT / "README.md").read_text())
    wanted = told.replace("120", str(HOLD_SECONDS))
    with tempfile.TemporaryDirectory(prefix="tixxety-clients-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with box_office(folder) as url:
            for made in (in_python, in_typescript):
                if why_not := made.why_not():
                    typer.echo(why_not)
                    continue
                said = made.story(url, folder / made.NAME, HOLD_SECONDS)
                assert said == wanted, f"{said}\ninstead of\n{wanted}"
                typer.echo(f"{made.NAME} makes a client that plays the README's story.")


@contextmanager
def box_office(folder: Path) -> Iterator[str]:
    """A whole one for the block: where its API is."""
    home, port = folder / "home", free_port()
    home.mkdir(mode=0o711)
    command = [sys.executable, "-m", "tixxety", "up", "--home", str(home), "--port", str(port)]
    with running(command, {"HOME": str(home), "TIXXETY_NO_VENV": "1"}, folder / "up.log") as up:
        until_ready(f"http://127.0.0.1:{port}/health/ready", (up, folder / "up.log"))
        yield f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    main()
